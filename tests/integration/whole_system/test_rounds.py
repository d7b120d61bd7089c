"""On the running pipeline: an answer is mended, asked for again, asked of the next model, or told to be none."""

import time
from decimal import Decimal
from uuid import uuid4

import pytest

from schemas.response import Response
from scripts.local.stack import LocalStack
from sinks.connection import connect
from tests.integration.conversation import Conversation

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

SCHEMA = {"type": "object", "properties": {"crop": {"type": "string"}}, "required": ["crop"]}
AS_JSON = {"response_format": {"type": "json_schema", "json_schema": {"name": "crop", "schema": SCHEMA}}}
Rows = list[tuple[int, int, bool, Decimal, dict[str, str]]]


def asked(conversation: Conversation, content: str, **params: object) -> Response:
    """Of the sample configuration's route that mends, asks again and climbs: claude-haiku-4-5, then gpt-4.1-mini."""
    request_id = f"round-{uuid4().hex[:8]}"
    messages = [{"role": "user", "content": f"{request_id}: {content}"}]
    conversation.ask(request_id, model="auto", task="extract", messages=messages, params=params)
    return conversation.answer(request_id)


def rows_of(stack: LocalStack, response: Response) -> Rows:
    """In the order of the attempts, once the final one is stored."""
    client = connect(stack.clickhouse)
    columns = "attempt_no, round, is_final, cost_usd, steps"
    query = f"SELECT {columns} FROM millrace.calls WHERE request_id = {{id:String}} ORDER BY attempt_no"  # noqa: S608  # ours
    deadline_s = time.monotonic() + 30
    while True:
        rows: Rows = [tuple(row) for row in client.query(query, {"id": response.request_id}).result_rows]
        if any(is_final for _, _, is_final, _, _ in rows) or time.monotonic() > deadline_s:
            client.close()
            return rows


def test_json_that_is_nearly_right_is_mended_and_says_so(conversation: Conversation) -> None:
    response = asked(conversation, "[[answer:```json\n{'crop': 'leek',}\n```]]", **AS_JSON)

    assert (response.status, response.round, response.attempts) == ("ok", 0, 1)
    assert response.steps == {"structure": "repaired"}
    assert response.output is not None
    assert (response.output.content, response.output.parsed) == ('{"crop":"leek"}', {"crop": "leek"})


def test_json_that_is_wrong_is_asked_for_again_and_each_round_is_booked_once(
    stack: LocalStack, conversation: Conversation
) -> None:
    """Told what is wrong the simulated model keeps to the schema: the command was in the question before."""
    response = asked(conversation, '[[answer:{"fruit": "leek"}]]', **AS_JSON)

    assert (response.status, response.round, response.attempts, response.steps) == ("ok", 1, 2, {})
    assert response.output is not None
    assert set(response.output.parsed) == {"crop"}
    rows = rows_of(stack, response)
    assert [(attempt, number, is_final) for attempt, number, is_final, _, _ in rows] == [(1, 0, False), (2, 1, True)]
    assert [steps for *_, steps in rows] == [{"structure": "other_schema"}, {}]
    assert sum((usd for *_, usd, _ in rows), Decimal(0)) == response.cost_usd
    assert all(usd > 0 for *_, usd, _ in rows)


def test_who_declines_is_followed_by_the_next_model(stack: LocalStack, conversation: Conversation) -> None:
    says = "[[answer_of:claude-haiku-4-5 I'm sorry, but I can't help with that.]] [[answer:Three crates of leek.]]"
    response = asked(conversation, says)

    assert (response.status, response.round, response.deployment) == ("ok", 1, "openai-main")
    assert response.output is not None
    assert response.output.content == "Three crates of leek."
    assert [(number, is_final, steps) for _, number, is_final, _, steps in rows_of(stack, response)] == [
        (0, False, {"refusal": "sounds_declined"}),
        (1, True, {}),
    ]


def test_when_no_model_is_left_the_answer_is_told_to_be_none_and_is_not_kept(conversation: Conversation) -> None:
    content, request_ids = f"{uuid4().hex} [[answer:I cannot help with that.]]", [f"none-{uuid4().hex}" for _ in "ab"]
    for request_id in request_ids:
        messages = [{"role": "user", "content": content}]
        conversation.ask(request_id, model="auto", task="extract", messages=messages)
        response = conversation.answer(request_id)

        assert (response.status, response.cache, response.round, response.attempts) == ("failed", "none", 1, 2)
        assert response.error is not None
        assert (response.error.code, response.error.retryable) == ("invalid_output", False)
        assert response.output is not None
        assert response.output.content == "I cannot help with that."
