"""Tools and structured output asked for in OpenAI's words, and what each Claude can be asked."""

from typing import Any

import pytest

from schemas.base import JsonObject
from schemas.prompt import (
    FunctionDefinition,
    JsonObjectFormat,
    JsonSchema,
    JsonSchemaFormat,
    NamedFunction,
    NamedTool,
    Params,
    Prompt,
    TextFormat,
    Tool,
    UserMessage,
)
from streams.providers.anthropic_dialect import dialect
from streams.providers.anthropic_mapping import request
from streams.providers.anthropic_tools import ANSWER_TOOL
from streams.providers.protocol import Question

HELLO = UserMessage(role="user", content="Hello.")
CLOSED: JsonObject = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
MAP: JsonObject = {"type": "object", "additionalProperties": {"type": "string"}}
WEATHER = Tool(function=FunctionDefinition(name="weather", description="Tells it.", parameters=CLOSED))
DEMANDED = NamedTool(function=NamedFunction(name="weather"))
CAN_BE_FORCED, CANNOT, HAS_NO_SCHEMAS = "claude-haiku-4-5", "claude-opus-5-5", "claude-sonnet-4-20250514"


def asked(model: str, **params: Any) -> dict[str, Any]:
    prompt = Prompt(messages=(HELLO,), params=Params(**params))
    return request(Question("a-1", model, prompt, stream=False, timeout_ms=1_000))


def schema(wanted: JsonObject, *, strict: bool | None) -> JsonSchemaFormat:
    return JsonSchemaFormat(type="json_schema", json_schema=JsonSchema(name="s", schema=wanted, strict=strict))


def test_a_tool_keeps_its_name_its_purpose_and_its_schema() -> None:
    assert asked(CAN_BE_FORCED, tools=(WEATHER,))["tools"] == [
        {"name": "weather", "description": "Tells it.", "input_schema": CLOSED}
    ]


def test_a_tool_without_parameters_takes_an_object() -> None:
    tool = Tool(function=FunctionDefinition(name="now"))

    assert asked(CAN_BE_FORCED, tools=(tool,))["tools"][0]["input_schema"] == {"type": "object", "properties": {}}


def test_a_strict_tool_is_strict_where_the_model_knows_how() -> None:
    strict = Tool(function=WEATHER.function.model_copy(update={"strict": True}))

    assert asked(CAN_BE_FORCED, tools=(strict,))["tools"][0]["strict"] is True
    assert "strict" not in asked(HAS_NO_SCHEMAS, tools=(strict,))["tools"][0]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, {"type": "auto"}),
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        (DEMANDED, {"type": "tool", "name": "weather"}),
    ],
)
def test_how_to_choose_a_tool_is_translated(choice: object, sent: object) -> None:
    assert asked(CAN_BE_FORCED, tools=(WEATHER,), tool_choice=choice)["tool_choice"] == sent


@pytest.mark.parametrize(
    ("choice", "said"),
    [("required", "Answer by calling one of the tools."), (DEMANDED, "Answer by calling the tool weather.")],
)
def test_a_model_that_cannot_be_forced_is_told(choice: object, said: str) -> None:
    body = asked(CANNOT, tools=(WEATHER,), tool_choice=choice)

    assert "tool_choice" not in body
    assert body["system"] == [{"type": "text", "text": said}]


def test_a_choice_among_no_tools_is_not_sent() -> None:
    assert "tool_choice" not in asked(CAN_BE_FORCED, tool_choice="required")


@pytest.mark.parametrize("model", [CAN_BE_FORCED, CANNOT])
def test_a_strict_schema_is_the_models_own_output_format(model: str) -> None:
    body = asked(model, response_format=schema(CLOSED, strict=True))

    assert body["output_config"] == {"format": {"type": "json_schema", "schema": CLOSED}}
    assert "tools" not in body


def test_a_model_without_schemas_answers_through_a_tool_of_ours() -> None:
    body = asked(HAS_NO_SCHEMAS, response_format=schema(CLOSED, strict=True))

    assert body["tools"] == [{"name": ANSWER_TOOL, "description": "Give the answer.", "input_schema": CLOSED}]
    assert body["tool_choice"] == {"type": "tool", "name": ANSWER_TOOL, "disable_parallel_tool_use": True}


def test_a_schema_that_is_open_is_never_closed_in_silence() -> None:
    """Anthropic's own format would allow no key at all where this schema allows every key."""
    body = asked(CAN_BE_FORCED, response_format=schema(MAP, strict=False))

    assert "output_config" not in body
    assert body["tools"][0]["input_schema"]["additionalProperties"] == {"type": "string"}


def test_a_model_that_cannot_be_forced_is_told_the_open_schema() -> None:
    body = asked(CANNOT, response_format=schema(MAP, strict=None))

    assert "tools" not in body
    assert '{"type":"object","additionalProperties":{"type":"string"}}' in body["system"][-1]["text"]


def test_any_json_object_is_any_input_of_our_tool() -> None:
    body = asked(CAN_BE_FORCED, response_format=JsonObjectFormat(type="json_object"))

    assert body["tools"][0]["input_schema"] == {"type": "object", "properties": {}}


def test_any_json_object_is_asked_for_in_words_where_nothing_else_works() -> None:
    body = asked(CANNOT, response_format=JsonObjectFormat(type="json_object"))

    assert body["system"] == [
        {"type": "text", "text": "Answer with one JSON object and nothing else, without a code fence."}
    ]


def test_with_tools_of_the_callers_the_answer_is_one_more_tool_to_choose() -> None:
    body = asked(CAN_BE_FORCED, tools=(WEATHER,), response_format=schema(MAP, strict=None))

    assert [tool["name"] for tool in body["tools"]] == ["weather", ANSWER_TOOL]
    assert body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}


def test_a_tool_the_caller_demands_is_the_answer() -> None:
    body = asked(CAN_BE_FORCED, tools=(WEATHER,), tool_choice="required", response_format=schema(MAP, strict=None))

    assert [tool["name"] for tool in body["tools"]] == ["weather"]
    assert body["tool_choice"] == {"type": "any"}


def test_text_is_no_shape() -> None:
    assert set(asked(CANNOT, response_format=TextFormat(type="text"))) == {"model", "max_tokens", "messages", "stream"}


@pytest.mark.parametrize(
    ("model", "sampling", "forced_tools", "schemas"),
    [
        ("claude-2.1", True, True, False),
        ("claude-3-5-sonnet-20241022", True, True, False),
        ("claude-sonnet-4-20250514", True, True, False),
        ("anthropic.claude-opus-4-1-20250805-v1:0", True, True, False),
        ("claude-haiku-4-5@20251001", True, True, True),
        ("claude-sonnet-4-6", True, True, True),
        ("claude-opus-4-7", False, True, True),
        ("claude-opus-5", False, True, True),
        ("claude-fable-5-1", False, False, True),
        ("claude-haiku-5-5", False, False, True),
        ("claude-of-the-future", False, False, True),
        ("another-vendors-model", True, True, False),
    ],
)
def test_each_model_is_asked_only_what_it_takes(model: str, sampling: bool, forced_tools: bool, schemas: bool) -> None:
    spoken = dialect(model)

    assert (spoken.sampling, spoken.forced_tools, spoken.schemas) == (sampling, forced_tools, schemas)
