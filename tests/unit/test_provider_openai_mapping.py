"""Our prompt in OpenAI's words, and OpenAI's answer in ours."""

from functools import cache
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import TypeAdapter

from schemas import response
from schemas.base import JsonObject, dump_json, load_json
from schemas.prompt import (
    AssistantMessage,
    FunctionCall,
    FunctionDefinition,
    JsonObjectFormat,
    JsonSchema,
    JsonSchemaFormat,
    NamedFunction,
    NamedTool,
    Params,
    Prompt,
    SystemMessage,
    Tool,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from streams.providers.openai_mapping import answer, request, until_stop
from streams.providers.openai_transcript import Transcript
from streams.providers.openai_wire import Chunk, Completion
from streams.providers.protocol import Question
from tests.fakes.prompts import prompts

HELLO = UserMessage(role="user", content="Hello.")
OURS_ALONE = {"stream", "stream_options"}


def asked(*, model: str = "gpt-4o", stream: bool = False, params: Params | None = None, **prompt: Any) -> Question:
    messages = prompt.get("messages", (HELLO,))
    return Question("a-1", model, Prompt(messages=messages, params=params or Params()), stream=stream, timeout_ms=1_000)


@cache
def _schema() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(TypeAdapter(CompletionCreateParamsNonStreaming).json_schema())


@settings(max_examples=150)
@given(prompt=prompts, model=st.sampled_from(["gpt-4o", "gpt-5", "o3", "gpt-5.4", "llama-3"]), stream=st.booleans())
def test_every_prompt_becomes_a_request_the_sdk_knows(prompt: Prompt, model: str, stream: bool) -> None:
    body = request(Question("a-1", model, prompt, stream=stream, timeout_ms=1_000))

    assert set(body) - OURS_ALONE <= set(CompletionCreateParamsNonStreaming.__annotations__) | {
        "max_tokens",
        "max_completion_tokens",
    }
    _schema().validate(load_json(dump_json({key: value for key, value in body.items() if key not in OURS_ALONE})))


def test_a_plain_question_is_sent_as_it_is() -> None:
    params = Params(temperature=0.2, max_tokens=50, top_p=0.9, stop=("END",), seed=7)

    assert request(asked(params=params)) == {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "Hello."}],
        "max_tokens": 50,
        "temperature": 0.2,
        "top_p": 0.9,
        "stop": ["END"],
        "seed": 7,
    }


def test_a_stream_is_asked_to_report_its_usage() -> None:
    body = request(asked(stream=True))

    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("model", ["o3", "o4-mini-2025-04-16", "gpt-5", "gpt-5-mini", "gpt-5.5", "gpt-6-astra"])
def test_a_reasoning_model_gets_its_own_limit_and_no_sampling(model: str) -> None:
    body = request(asked(model=model, params=Params(temperature=0.2, max_tokens=50, top_p=0.9, stop=("END",))))

    assert body == {"model": model, "messages": [{"role": "user", "content": "Hello."}], "max_completion_tokens": 50}


@pytest.mark.parametrize("model", ["gpt-5.1", "gpt-5.4-mini", "gpt-5-chat-latest"])
def test_a_model_that_thinks_only_when_told_to_takes_sampling(model: str) -> None:
    assert request(asked(model=model, params=Params(temperature=0.2)))["temperature"] == 0.2


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1-nano", "gpt-35-turbo", "gpt-oss-120b", "mistral-large", "o200k"])
def test_any_other_model_takes_everything(model: str) -> None:
    body = request(asked(model=model, params=Params(max_tokens=50, temperature=2, stop=("END",))))

    assert (body["max_tokens"], body["temperature"], body["stop"]) == (50, 2, ["END"])


def test_a_stop_that_a_reasoning_model_refuses_is_honoured_afterwards() -> None:
    heard = Transcript()
    heard.take(
        Completion.model_validate({"choices": [{"message": {"content": "one END two"}, "finish_reason": "stop"}]})
    )

    output, reason = answer(asked(model="o3", params=Params(stop=("two", "END"))), heard)

    assert output.content == "one "
    assert reason == "stop"


@given(st.text(max_size=30), st.lists(st.text(min_size=1, max_size=3), max_size=4).map(tuple))
def test_what_is_left_holds_no_stop_and_is_how_the_content_began(content: str, stops: tuple[str, ...]) -> None:
    left = until_stop(content, stops)

    assert content.startswith(left)
    assert not any(stop in left for stop in stops)


def test_developers_speak_as_system_to_every_vendor() -> None:
    body = request(asked(messages=(SystemMessage(role="developer", content="Be brief."), HELLO)))

    assert body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello."}]


def test_a_conversation_with_tools_keeps_its_calls_and_results() -> None:
    call = ToolCall(id="call_1", function=FunctionCall(name="weather", arguments='{"city":"Bern"}'))
    messages = (
        HELLO,
        AssistantMessage(role="assistant", tool_calls=(call,)),
        ToolMessage(role="tool", content="Rain.", tool_call_id="call_1"),
        AssistantMessage(role="assistant", content="It rains."),
        HELLO,
    )

    assert request(asked(messages=messages))["messages"] == [
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "tool_calls": [call.model_dump()]},
        {"role": "tool", "content": "Rain.", "tool_call_id": "call_1"},
        {"role": "assistant", "content": "It rains."},
        {"role": "user", "content": "Hello."},
    ]


def test_a_schema_keeps_its_nulls() -> None:
    schema: JsonObject = {"type": "object", "properties": {"x": {"const": None}}}
    tool = Tool(function=FunctionDefinition(name="t", parameters=schema))
    wanted = JsonSchemaFormat(type="json_schema", json_schema=JsonSchema(name="s", schema=schema, strict=True))

    body = request(asked(params=Params(tools=(tool,), response_format=wanted)))

    assert body["tools"] == [{"type": "function", "function": {"name": "t", "parameters": schema}}]
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "s", "schema": schema, "strict": True},
    }


@pytest.mark.parametrize("word", ["none", "auto", "required"])
def test_how_to_choose_a_tool_is_said_in_the_same_word(word: Any) -> None:
    tools = (Tool(function=FunctionDefinition(name="t")),)

    assert request(asked(params=Params(tools=tools, tool_choice=word)))["tool_choice"] == word


def test_a_tool_is_demanded_by_name() -> None:
    demanded = NamedTool(function=NamedFunction(name="t"))
    params = Params(tools=(Tool(function=FunctionDefinition(name="t")),), tool_choice=demanded)

    assert request(asked(params=params))["tool_choice"] == {"type": "function", "function": {"name": "t"}}


def test_a_choice_among_no_tools_is_not_sent() -> None:
    assert "tool_choice" not in request(asked(params=Params(tool_choice="auto")))


def test_json_is_asked_for_in_words_where_nobody_has() -> None:
    params = Params(response_format=JsonObjectFormat(type="json_object"))
    said = UserMessage(role="user", content="Hello as Json.")

    assert request(asked(params=params))["messages"] == [
        {"role": "system", "content": "Answer with one JSON object."},
        {"role": "user", "content": "Hello."},
    ]
    assert request(asked(params=params, messages=(said,)))["messages"] == [{"role": "user", "content": said.content}]


def completion(message: dict[str, Any], finish: str | None) -> Transcript:
    heard = Transcript()
    heard.take(Completion.model_validate({"choices": [{"message": message, "finish_reason": finish}]}))
    return heard


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("tool_calls", "tool_calls"),
        ("eos_token", "unknown"),
        (None, "unknown"),
    ],
)
def test_every_reason_to_stop_is_one_of_ours(finish: str | None, reason: str) -> None:
    assert answer(asked(), completion({"content": "Hi."}, finish))[1] == reason


def test_a_refusal_is_told_from_an_answer() -> None:
    output, reason = answer(asked(), completion({"content": None, "refusal": "I won't."}, "stop"))

    assert (output.content, output.refusal, reason) == (None, "I won't.", "refusal")


def test_a_tool_demanded_by_name_was_called_though_the_provider_says_stop() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "t", "arguments": "{}"}}

    output, reason = answer(asked(), completion({"content": None, "tool_calls": [call]}, "stop"))

    assert reason == "tool_calls"
    assert output.tool_calls == (
        response.ToolCall(id="call_1", function=response.FunctionCall(name="t", arguments="{}")),
    )


def test_tool_calls_are_put_together_from_their_pieces_in_order() -> None:
    heard = Transcript()
    for delta in (
        {"tool_calls": [{"index": 1, "id": "b", "function": {"name": "second", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "first", "arguments": '{"x"'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
    ):
        assert heard.add(Chunk.model_validate({"choices": [{"index": 0, "delta": delta}]}))

    assert heard.tool_calls == (
        response.ToolCall(id="a", function=response.FunctionCall(name="first", arguments='{"x":1}')),
        response.ToolCall(id="b", function=response.FunctionCall(name="second", arguments="{}")),
    )


@given(st.text(min_size=1), st.data())
def test_however_a_text_is_cut_into_chunks_it_is_the_same_text(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    heard = Transcript()

    for piece in pieces:
        heard.add(Chunk.model_validate({"choices": [{"delta": {"content": piece}}]}))

    assert heard.content == text


def test_the_usage_comes_in_a_chunk_of_its_own_and_the_opening_says_nothing() -> None:
    heard = Transcript()
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}

    assert not heard.add(
        Chunk.model_validate({"model": "m", "choices": [{"delta": {"role": "assistant", "content": ""}}]})
    )
    assert not heard.add(Chunk.model_validate({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": None}))
    assert not heard.add(Chunk.model_validate({"choices": [], "usage": usage}))

    assert (heard.model, heard.finish, heard.usage) == ("m", "stop", usage)
