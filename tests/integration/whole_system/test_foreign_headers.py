"""Headers that a producer in another language may write and that our clients cannot read."""

import os
import subprocess
import sys
from uuid import uuid4

import pytest

from schemas.base import dump_json
from scripts.local.stack import LocalStack
from tests.integration.conversation import Conversation

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

# The clients here only write names that are text. aiokafka's encoder in Python, unlike its compiled one, takes a
# text whose bytes are what they please.
FOREIGN_PRODUCER = """
import asyncio, sys
from aiokafka import AIOKafkaProducer

class NotUtf8(str):
    def encode(self, *_):
        return b"\\xff\\xfe"

async def main(brokers, value):
    async with AIOKafkaProducer(bootstrap_servers=brokers) as producer:
        await producer.send_and_wait("llm.requests", value.encode(), headers=[(NotUtf8("x"), b"1")])

asyncio.run(main(*sys.argv[1:]))
"""


def test_a_header_whose_name_is_not_utf8_neither_stops_the_stage_nor_the_request(
    stack: LocalStack, conversation: Conversation
) -> None:
    """Found by review: such a name made the client raise, and every worker that took the record would have died."""
    for number in range(20):  # the interpreter treats a call that it has made often in another way
        conversation.ask(f"before-{number}-{uuid4().hex[:8]}")
    request_id = f"foreign-{uuid4().hex[:8]}"
    request = {"request_id": request_id, "tenant_id": "local", "messages": [{"role": "user", "content": request_id}]}
    subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-c", FOREIGN_PRODUCER, stack.kafka.bootstrap_servers, dump_json(request).decode()],
        env={**os.environ, "AIOKAFKA_NO_EXTENSIONS": "1"},  # noqa: TID251  # the environment of this run
        check=True,
        timeout=60,
    )
    assert conversation.answer(request_id).status == "ok"


def test_a_trace_that_is_not_utf8_is_no_trace(conversation: Conversation) -> None:
    request_id = f"trace-{uuid4().hex[:8]}"
    conversation.ask(request_id, headers={"traceparent": b"\xff\xfe"})
    assert conversation.answer(request_id).status == "ok"
