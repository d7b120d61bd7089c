"""With the real model, on the running pipeline: a question in other words is free, and a near miss is not given."""

from uuid import uuid4

import pytest

from schemas.control import Semantic, Tenant
from schemas.request import CacheMode
from schemas.response import Response
from schemas.topics import CONTROL
from scripts.cli.config_diff import Added
from scripts.cli.control_topic import write_control
from scripts.cli.kafka import LiveCluster
from scripts.local.stack import LocalStack
from scripts.stack.readiness import holds_within
from tests.integration.conversation import Conversation

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def test_a_question_in_other_words_is_given_the_answer_and_a_near_miss_is_not(
    stack: LocalStack, conversation: Conversation
) -> None:
    name = f"meaning-{uuid4().hex[:8]}"
    cluster = LiveCluster(stack.kafka, {stack.kafka.topic(CONTROL): 1})
    write_control(cluster, [Added(Tenant(name=name, open=True, semantic=Semantic()))])
    asked: list[Response] = []

    def ask(text: str, cache: CacheMode) -> Response:
        request_id = f"{name}-{len(asked)}"
        message = [{"role": "user", "content": text}]
        conversation.ask(request_id, key=None, tenant_id=name, messages=message, cache=cache)
        asked.append(conversation.answer(request_id))
        return asked[-1]

    def is_given() -> bool:
        """Once the stages know the tenant, and the model is loaded: until then questions go without comparison."""
        ask("How do I reset my password?", "refresh")
        return ask("How can I reset my password?", "only").status == "ok"

    assert holds_within(60, is_given)
    given = asked[-1]
    assert (given.cache, given.cost_usd, given.attempts) == ("semantic", 0, 0)
    assert given.similarity is not None
    assert given.similarity >= 0.95
    assert given.source_request_id == asked[-2].request_id
    assert given.saved_usd == asked[-2].cost_usd

    near = ask("How do I not reset my password?", "only")
    assert near.error is not None
    assert near.error.code == "cache_miss"
