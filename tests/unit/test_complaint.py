import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from schemas.base import Model
from schemas.complaint import MAX_MESSAGE_CHARS, MAX_WEIGHED_ERRORS, MUST, PATTERNS, complaint
from schemas.control import Route
from schemas.json_schema import contracts
from schemas.prompt import ImageUrl
from schemas.request import Request

CANARY = "canary in the prompt"
FIELDS = [
    "request_id", "tenant_id", "user_id", "messages", "role", "content", "type", "text", "image_url", "url", "params",
    "tools", "tool_choice", "function", "name", "parameters", "response_format", "json_schema", "labels", "stop",
    "seed", "schema_version", "priority", "tool_calls", "user", "system", "tool", "str", CANARY,
]  # fmt: skip

Anything = st.SearchStrategy[Any]

values: Anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.just(CANARY),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=25,
)
message: dict[str, Anything] = {
    "role": st.sampled_from(["user", "system", "assistant", "tool", CANARY]),
    "content": values,
}
more_of_it: dict[str, Anything] = {"tool_calls": values, "name": values}
bad_messages: Anything = st.lists(st.fixed_dictionaries(message, optional=more_of_it), max_size=3)
bad_fields: dict[str, Anything] = {"request_id": values, "tenant_id": values, "messages": bad_messages | values}
bad_requests: Anything = st.dictionaries(st.sampled_from(FIELDS), values, max_size=6) | st.fixed_dictionaries(
    bad_fields
)


def told(body: Any, model: type[Model] = Request) -> tuple[str | None, str]:
    with pytest.raises(ValidationError) as caught:
        model.decode(json.dumps(body).encode())
    found = complaint(caught.value, model)
    return found.field, found.message


def request(**changes: Any) -> dict[str, Any]:
    return {"request_id": "r-1", "tenant_id": "acme", "messages": [{"role": "user", "content": "hello"}], **changes}


@given(bad_requests)
def test_whatever_is_sent_the_answer_is_short_and_repeats_no_prompt(body: Any) -> None:
    try:
        Request.decode(json.dumps(body).encode())
    except ValidationError as error:
        found = complaint(error)
        assert 0 < len(found.message) <= MAX_MESSAGE_CHARS
        assert CANARY not in found.message
        assert CANARY not in (found.field or "")


@pytest.mark.parametrize(
    "message",
    [
        {"role": "secret"},
        {"role": "user", "content": [{"type": "secret"}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:secret;base64,AAAA"}}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://secret"}}]},
        {
            "role": "assistant",
            "tool_calls": [{"id": "a", "type": "secret", "function": {"name": "f", "arguments": ""}}],
        },
    ],
)
def test_even_a_short_value_of_a_prompt_is_not_repeated(message: dict[str, Any]) -> None:
    assert "secret" not in told(request(messages=[message]))[1]


def test_a_short_number_or_choice_is_repeated_so_that_it_can_be_found() -> None:
    assert told(request(params={"top_p": 7}))[1] == "params.top_p must be at most 1, not 7"
    assert told(request(cache="on"))[1] == "cache must be 'default', 'off', 'refresh' or 'only', not 'on'"


@pytest.mark.parametrize("value", ["x" * 13, 10**13, "a\nb", "\u202eabc"])
def test_a_value_that_is_long_or_cannot_be_printed_is_not_repeated(value: Any) -> None:
    assert told(request(priority=value))[1] == "priority must be 'high', 'normal' or 'low'"


@pytest.mark.parametrize("name", ["sk-live-4f9a", "who is the best?", "x" * 41, "", "größe"])
def test_a_made_up_name_is_repeated_only_when_it_can_be_no_secret(name: str) -> None:
    assert told(request(**{name: 1})) == (None, "an entry of the event is not a known field: remove it")


def test_a_made_up_name_below_a_known_one_is_placed_there() -> None:
    field, message = told(request(params={"sk-live-4f9a": 1}))
    assert field == "params"
    assert message == "an entry of params is not a known field: remove it"


def test_of_many_problems_the_one_that_explains_the_others_is_told_and_the_others_are_counted() -> None:
    assert told({"mesages": [], "request_id": "r", "tenant_id": "acme"})[1] == (
        "mesages is not a known field: did you mean messages? (1 more to correct)"
    )
    assert told(request(priority=1, schema_version=2, cost=1))[0] == "schema_version"
    assert told({"request_id": 5, "tenant_id": "acme"})[1] == "messages is required: add it (1 more to correct)"


def test_alternatives_that_were_tried_count_as_one_problem() -> None:
    assert told(request(params={"tool_choice": 1})) == (
        "params.tool_choice",
        "params.tool_choice must be 'none', 'auto' or 'required' or an object, not 1",
    )


def test_a_field_named_like_an_alternative_is_still_a_field() -> None:
    field, message = told(request(messages=[{"role": "user", "content": "x", "user": "me"}]))
    assert field == "messages.0.user"
    assert message.startswith("messages.0.user is not a known field")


def test_thousands_of_problems_are_not_all_weighed() -> None:
    body = request(**{f"field_{number}": 1 for number in range(20 * MAX_WEIGHED_ERRORS)})
    assert told(body)[1] == "field_0 is not a known field: remove it (many more to correct)"


def test_other_events_than_requests_can_be_complained_about() -> None:
    assert told({"name": "default", "targets": []}, Route) == ("targets", "targets must not be empty")
    assert told({"name": "default", "targets": [{}]}, Route) == (
        "targets.0.deployment",
        "targets.0.deployment is required: add it",
    )


def patterns(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        schema = cast("dict[str, Any]", node)
        if isinstance(pattern := schema.get("pattern"), str):
            yield pattern
        yield from schema.get("patternProperties", {})
        for item in schema.values():
            yield from patterns(item)
    elif isinstance(node, list):
        for item in cast("list[Any]", node):
            yield from patterns(item)


def test_every_pattern_of_a_request_has_words() -> None:
    checked_by_code = {ImageUrl.model_json_schema()["properties"]["url"]["pattern"]}
    found = set(patterns(contracts()["request"].schema))
    assert len(found) > len(checked_by_code)
    assert not found - PATTERNS.keys() - checked_by_code, "say in schemas.complaint.PATTERNS what it asks for"


def test_a_demand_can_be_made_of_any_kind_of_limit() -> None:
    class Narrow(Model):
        above: float = Field(default=1, gt=0.5)
        below: int = Field(default=1, lt=4)
        short: str = Field(default="abcd", min_length=3)
        listed: tuple[int, ...] = Field(default=(1, 2), min_length=2)
        odd: int = Field(default=3, multiple_of=3)

    assert told({"above": 0.5}, Narrow)[1] == "above must be more than 0.5, not 0.5"
    assert told({"below": 4}, Narrow)[1] == "below must be less than 4, not 4"
    assert told({"short": "ab"}, Narrow)[1] == "short must have at least 3 characters"
    assert told({"listed": [1]}, Narrow)[1] == "listed must hold at least 2 items"
    assert told({"odd": 4}, Narrow)[1] == "odd is not valid (multiple of), not 4"
    assert all(demand.startswith(("must", "is")) for demand in MUST.values())
