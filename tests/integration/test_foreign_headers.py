"""Headers that a producer in another language may write and that our clients cannot read."""

from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer

from schemas.base import dump_json
from scripts.local.stack import LocalStack
from tests.integration.conversation import Conversation

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@pytest.mark.asyncio
async def test_a_header_that_is_not_utf8_neither_stops_the_stage_nor_the_request(
    stack: LocalStack, conversation: Conversation
) -> None:
    """Found by review: such a name made the client raise, and every worker that took the record would have died."""
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka.bootstrap_servers)
    await producer.start()
    asked = {name: f"{name}-{uuid4().hex[:8]}" for name in ("name", "value")}
    for name, request_id in asked.items():
        request = {
            "request_id": request_id,
            "tenant_id": "local",
            "messages": [{"role": "user", "content": request_id}],
        }
        headers = [("traceparent", b"\xff\xfe")] if name == "value" else [(_NotUtf8("x"), b"1")]
        await producer.send_and_wait("llm.requests", dump_json(request), headers=headers)
    await producer.stop()
    for request_id in asked.values():
        assert conversation.answer(request_id).status == "ok"


class _NotUtf8(str):
    """A header's name whose bytes on the wire are not UTF-8."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        del encoding, errors
        return b"\xff\xfe"
