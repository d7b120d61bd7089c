"""On the running pipeline: an answer is mended, asked for again, judged, asked of the next model, or told off."""

import time
from collections.abc import Iterator
from decimal import Decimal
from uuid import uuid4

import pytest

from schemas.control import Judge, Route, RouteTarget, Tenant
from schemas.response import Response
from scripts.cli.config_diff import Added, ConfigObject, Removed
from scripts.cli.control_topic import write_control
from scripts.cli.kafka import LiveCluster
from scripts.local.stack import LocalStack
from scripts.stack.readiness import holds_within
from sinks.connection import connect
from streams.runtime.cluster import Cluster
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


@pytest.fixture(scope="module")
def is_judged(stack: LocalStack) -> Iterator[None]:
    """A tenant whose answers are judged by gpt-4o-mini: gpt-4.1-mini is asked first, then claude-haiku-4-5."""
    cluster = LiveCluster(stack.kafka, Cluster(stack.kafka).existing())
    route = Route(
        name="judged",
        tenants=("judged",),
        targets=(
            RouteTarget(deployment="openai-main", model="gpt-4.1-mini"),
            RouteTarget(deployment="anthropic-main", model="claude-haiku-4-5"),
        ),
        judge=Judge(targets=(RouteTarget(deployment="openai-main", model="gpt-4o-mini"),), at_least=0.7),
        cascade=True,
        max_attempts=4,
    )
    objects: list[ConfigObject] = [Tenant(name="judged", open=True), route]
    version = write_control(cluster, [Added(each) for each in objects])
    talk = Conversation(stack.kafka)
    assert holds_within(30, lambda: judged(talk, "Ready?").config_version >= version)
    talk.close()
    yield
    write_control(cluster, [Removed(each) for each in reversed(objects)])


def judged(conversation: Conversation, content: str) -> Response:
    request_id = f"judged-{uuid4().hex[:8]}"
    messages = [{"role": "user", "content": f"{request_id}: {content}"}]
    conversation.ask(request_id, key=None, tenant_id="judged", model="auto", messages=messages)
    return conversation.answer(request_id)


@pytest.mark.usefixtures("is_judged")
@pytest.mark.parametrize(
    ("verdict", "said"), [("{score: 0.85}", "0.85"), ("Quite good, I would say.", "unreadable")], ids=["high", "prose"]
)
def test_an_answer_that_its_judge_lets_pass_is_given_and_both_calls_are_booked(
    stack: LocalStack, conversation: Conversation, verdict: str, said: str
) -> None:
    response = judged(conversation, f"[[answer:Three crates.]] [[answer_of:gpt-4o-mini {verdict}]]")

    assert (response.status, response.steps) == ("ok", {"judge": said})
    assert (response.deployment, response.round, response.attempts) == ("openai-main", 1, 2)
    assert response.output is not None
    assert (response.output.content, response.model) == ("Three crates.", "gpt-4.1-mini-2025-04-14")
    rows = rows_of(stack, response)
    assert [(attempt, number, is_final) for attempt, number, is_final, _, _ in rows] == [(1, 0, True), (2, 1, False)]
    assert [steps for *_, steps in rows] == [{"judge": said}, {}]
    assert all(usd > 0 for *_, usd, _ in rows)
    assert sum((usd for *_, usd, _ in rows), Decimal(0)) == response.cost_usd


@pytest.mark.usefixtures("is_judged")
def test_an_answer_with_a_low_mark_is_followed_by_the_next_models_which_is_judged_too(
    stack: LocalStack, conversation: Conversation
) -> None:
    says = "[[answer_of:gpt-4.1-mini One.]] [[answer:Three crates.]] [[answer_of:gpt-4o-mini {score: 0.2}]]"

    response = judged(conversation, says)

    assert (response.status, response.error and response.error.code) == ("failed", "invalid_output")
    assert (response.deployment, response.round, response.attempts) == ("anthropic-main", 3, 4)
    assert response.output is not None
    assert response.output.content == "Three crates."
    rows = rows_of(stack, response)
    assert [(attempt, number, is_final) for attempt, number, is_final, _, _ in rows] == [
        (1, 0, False),
        (2, 1, False),
        (3, 2, True),
        (4, 3, False),
    ]
    assert [steps for *_, steps in rows] == [{"judge": "0.2"}, {}, {"judge": "0.2"}, {}]
    assert sum((usd for *_, usd, _ in rows), Decimal(0)) == response.cost_usd
