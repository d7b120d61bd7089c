"""A prompt that refers to what is not there is refused before anybody is asked, by a field and never by its words."""

from typing import Any

import pytest

from tests.unit.examples import request_json
from tests.unit.validating import accepted, refused

CANARY = "the-secret-recipe"
ASKED = {"role": "user", "content": "Does it rain?"}
CALLED = {"role": "assistant", "tool_calls": [{"id": "call-1", "function": {"name": "look", "arguments": "{}"}}]}
TOOLS = [{"type": "function", "function": {"name": "look"}}]


def result(call_id: str) -> dict[str, Any]:
    return {"role": "tool", "content": "Rain.", "tool_call_id": call_id}


def choosing(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


@pytest.mark.parametrize(
    ("messages", "at"),
    [([ASKED, result(CANARY)], 1), ([result("call-1"), CALLED], 0), ([ASKED, CALLED, result(CANARY)], 2)],
    ids=["no call at all", "before its call", "another call"],
)
def test_a_tools_result_that_answers_no_call_is_refused(messages: list[dict[str, Any]], at: int) -> None:
    failure = refused(request_json(messages=messages)).failure

    assert (failure.code, failure.field) == ("invalid_request", f"messages.{at}.tool_call_id")
    assert failure.message.startswith(f"messages.{at}.tool_call_id answers no call: send the assistant's message")
    assert CANARY not in failure.message


def test_a_choice_of_a_tool_that_is_not_there_is_refused() -> None:
    failure = refused(request_json(params={"tools": TOOLS, "tool_choice": choosing(CANARY)})).failure

    assert (failure.code, failure.field) == ("invalid_request", "params.tool_choice.function.name")
    assert failure.message == (
        "params.tool_choice.function.name names none of params.tools: name one of them, or add the tool"
    )


@pytest.mark.parametrize(
    "asked",
    [
        {"messages": [ASKED, CALLED, result("call-1"), ASKED]},
        {"messages": [ASKED, CALLED, result("call-1"), result("call-1")]},
        {"messages": [{"role": "assistant"}, ASKED]},
        {"params": {"tools": TOOLS, "tool_choice": choosing("look")}},
        {"params": {"tools": [*TOOLS, *TOOLS]}},
        {"params": {"tool_choice": "required"}},
        {"params": {"tool_choice": choosing("look")}},
    ],
)
def test_what_some_provider_takes_or_is_not_sent_is_let_in(asked: dict[str, Any]) -> None:
    assert accepted(request_json(**asked)).digest
