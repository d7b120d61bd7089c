"""What a request is made of is bounded, not its bytes only: small values hold up every stage, or outgrow a topic."""

from typing import Any

import pytest

from schemas.flow import Accepted, Refused
from schemas.topics import VALIDATED
from streams.extent import MOST_PROMPT_BYTES, MOST_VALUES, is_surely_too_many, too_long
from streams.runtime.stage import Stateless
from streams.stages.validate import decide
from tests.unit.examples import control, delivery, deployment, forwarded, request_json, route, tenant, view

PART = {"type": "text", "text": ""}
CALL = {"id": "", "function": {"name": "", "arguments": ""}}


def event_of(value: bytes) -> Accepted | Refused:
    known = control(tenant(), deployment(), route())
    (record,) = forwarded(decide(delivery(value), view(Stateless(), control=known)))
    assert isinstance(record.event, Accepted | Refused)
    return record.event


def refused(value: bytes) -> str | None:
    """The field that was told."""
    event = event_of(value)
    assert isinstance(event, Refused)
    assert event.failure.code == "request_too_large"
    assert f"more than {MOST_VALUES} parts, tool calls and values of schemas" in event.failure.message
    assert "join texts" in event.failure.message
    return event.failure.field


def of_parts(count: int) -> bytes:
    return request_json(messages=[{"role": "user", "content": [PART] * count}])


def of_calls(count: int) -> bytes:
    called = {"role": "assistant", "tool_calls": [CALL] * count}
    return request_json(messages=[{"role": "user", "content": "x"}, called])


def of_schema(schema: dict[str, Any]) -> bytes:
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    return request_json(params={"response_format": shape})


@pytest.mark.parametrize("value", [of_parts(100_000), of_calls(80_000)], ids=["parts", "tool calls"])
def test_a_hundred_thousand_small_values_are_refused_before_each_is_looked_at(value: bytes) -> None:
    assert is_surely_too_many(value)
    assert refused(value) is None


@pytest.mark.parametrize("value", [of_parts(MOST_VALUES + 1), of_calls(MOST_VALUES + 1)], ids=["parts", "tool calls"])
def test_one_value_too_many_is_refused_with_its_field(value: bytes) -> None:
    assert not is_surely_too_many(value)
    assert refused(value) == "messages"


def test_no_spelling_of_a_key_gets_past() -> None:
    value = of_parts(50_000).replace(b'"type"', b'"\\u0074ype"')

    assert not is_surely_too_many(value)
    assert refused(value) == "messages"


def test_the_values_of_schemas_count_however_deep_they_lie() -> None:
    nested: Any = 1
    for _ in range(90):
        nested = {"items": nested, "enum": [1] * 300}

    assert refused(of_schema(nested)) == "params"
    assert refused(of_schema({"enum": [1] * 500_000})) == "params"


def test_numbers_that_are_written_longer_than_they_were_sent_outgrow_no_topic() -> None:
    """`1e15` becomes 1000000000000000.0: four megabytes of them would be sixteen."""
    value = of_schema({"enum": ["@"]}).replace(b'"@"', b",".join([b"1e15"] * 800_000))

    assert refused(value) == "params"


def test_as_many_as_are_let_in_fit_the_topic_with_room_for_what_the_stages_add() -> None:
    text = "x" * (4_000_000 - 70 * MOST_VALUES)
    called = {"role": "assistant", "tool_calls": [CALL] * (MOST_VALUES - 1)}
    event = event_of(request_json(messages=[{"role": "user", "content": [PART | {"text": text}]}, called]))

    assert isinstance(event, Accepted)
    assert len(event.encode()) < MOST_PROMPT_BYTES < VALIDATED.max_message_bytes - 1_000_000


def test_texts_may_say_what_keys_are_called() -> None:
    event = event_of(request_json(messages=[{"role": "user", "content": '{"type": "text"}, ' * 50_000}]))

    assert isinstance(event, Accepted)


def test_a_prompt_that_is_written_too_long_is_refused() -> None:
    assert too_long(b"x" * MOST_PROMPT_BYTES) is None
    failure = too_long(b"x" * (MOST_PROMPT_BYTES + 1))
    assert failure is not None
    assert (failure.code, failure.field) == ("request_too_large", "messages")
    assert f"at most {MOST_PROMPT_BYTES}" in failure.message
