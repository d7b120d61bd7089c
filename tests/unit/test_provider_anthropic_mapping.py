"""Our prompt in Anthropic's words, and Anthropic's answer in ours."""

from functools import cache
from typing import Any

import jsonschema_rs
import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from schemas import response
from schemas.base import JsonObject, dump_json, load_json
from schemas.prompt import (
    AssistantMessage,
    FunctionCall,
    ImagePart,
    ImageUrl,
    Message,
    Params,
    Prompt,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from streams.providers.anthropic_mapping import answer, request
from streams.providers.anthropic_tools import ANSWER_TOOL
from streams.providers.anthropic_transcript import Transcript
from streams.providers.anthropic_wire import Message as Answered
from streams.providers.anthropic_wire import StreamEvent
from streams.providers.protocol import Question
from tests.fakes.prompts import prompts

HELLO = UserMessage(role="user", content="Hello.")
OLD, NEW = "claude-haiku-4-5", "claude-opus-5-5"
PNG = "data:image/png;base64,iVBORw0KGgo="
NOT_THE_SDKS = {"stream", "temperature", "top_p"}


def asked(*messages: Message, model: str = OLD, params: Params | None = None, stream: bool = False) -> Question:
    prompt = Prompt(messages=messages or (HELLO,), params=params or Params())
    return Question("a-1", model, prompt, stream=stream, timeout_ms=1_000)


@cache
def _schema() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(TypeAdapter(MessageCreateParamsNonStreaming).json_schema())


@settings(max_examples=150)
@given(prompt=prompts, model=st.sampled_from([OLD, NEW, "claude-3-haiku-20240307", "claude-sonnet-5", "my-own"]))
def test_every_prompt_becomes_a_request_the_sdk_knows(prompt: Prompt, model: str) -> None:
    body = request(Question("a-1", model, prompt, stream=False, timeout_ms=1_000))

    _schema().validate(load_json(dump_json({key: value for key, value in body.items() if key not in NOT_THE_SDKS})))


@given(prompt=prompts)
def test_users_and_assistants_alternate_and_the_user_has_the_first_word_and_the_last(prompt: Prompt) -> None:
    turns: Any = request(Question("a-1", OLD, prompt, stream=False, timeout_ms=1_000))["messages"]

    roles = [turn["role"] for turn in turns]
    assert roles == ["user" if index % 2 == 0 else "assistant" for index in range(len(roles))]
    assert len(roles) % 2 == 1
    for turn in turns:
        assert turn["content"]
        assert all(block["text"] for block in turn["content"] if block["type"] == "text")


def test_a_plain_question_gets_a_limit_nobody_gave() -> None:
    assert request(asked()) == {
        "model": OLD,
        "max_tokens": 16_384,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello."}]}],
        "stream": False,
    }


@pytest.mark.parametrize(
    ("model", "limit"),
    [("claude-3-haiku-20240307", 4_096), ("claude-3-5-sonnet-latest", 4_096), ("claude-opus-4-20250514", 16_384)],
)
def test_the_oldest_models_get_all_they_have(model: str, limit: int) -> None:
    assert request(asked(model=model))["max_tokens"] == limit


def test_a_limit_that_was_given_is_kept() -> None:
    assert request(asked(params=Params(max_tokens=7)))["max_tokens"] == 7


def test_system_and_developer_messages_go_first_in_their_order() -> None:
    body = request(
        asked(
            SystemMessage(role="system", content="One."),
            HELLO,
            SystemMessage(
                role="developer", content=(TextPart(type="text", text="Two."), TextPart(type="text", text=""))
            ),
        )
    )

    assert body["system"] == [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Hello."}]}]


def test_tool_results_are_the_users_and_come_before_what_the_user_adds() -> None:
    calls = tuple(
        ToolCall(id=f"call_{n}", function=FunctionCall(name="weather", arguments=f'{{"n":{n}}}')) for n in (1, 2)
    )
    body = request(
        asked(
            HELLO,
            AssistantMessage(role="assistant", content="Let me see.", tool_calls=calls),
            ToolMessage(role="tool", content="Rain.", tool_call_id="call_1"),
            ToolMessage(role="tool", content="Sun.", tool_call_id="call_2"),
            UserMessage(role="user", content="And tomorrow?"),
        )
    )

    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Hello."}]},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"n": 1}},
                {"type": "tool_use", "id": "call_2", "name": "weather", "input": {"n": 2}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "Rain."}]},
                {"type": "tool_result", "tool_use_id": "call_2", "content": [{"type": "text", "text": "Sun."}]},
                {"type": "text", "text": "And tomorrow?"},
            ],
        },
    ]


def test_a_conversation_with_calls_declares_their_tools_though_none_may_be_called_now() -> None:
    call = ToolCall(id="c", function=FunctionCall(name="weather", arguments="{}"))
    body = request(
        asked(
            HELLO,
            AssistantMessage(role="assistant", tool_calls=(call, call)),
            ToolMessage(role="tool", content="Rain.", tool_call_id="c"),
        )
    )

    assert body["tools"] == [{"name": "weather", "input_schema": {"type": "object", "properties": {}}}]
    assert body["tool_choice"] == {"type": "none"}


def test_an_id_with_letters_anthropic_has_not_is_changed_in_the_call_and_its_result_alike() -> None:
    call = ToolCall(id="odd:id/3", function=FunctionCall(name="weather", arguments="{}"))
    turns: Any = request(
        asked(
            HELLO,
            AssistantMessage(role="assistant", tool_calls=(call,)),
            ToolMessage(role="tool", content="Rain.", tool_call_id="odd:id/3"),
        )
    )["messages"]

    assert turns[1]["content"][0]["id"] == turns[2]["content"][0]["tool_use_id"] == "odd_id_3"


@pytest.mark.parametrize(
    ("arguments", "given"),
    [('{"n":1}', {"n": 1}), ("", {}), ("[1]", {"arguments": [1]}), ("{oops", {"arguments": "{oops"})],
)
def test_arguments_that_are_no_object_are_wrapped_and_not_lost(arguments: str, given: dict[str, Any]) -> None:
    call = ToolCall(id="c", function=FunctionCall(name="weather", arguments=arguments))
    turns: Any = request(asked(HELLO, AssistantMessage(role="assistant", tool_calls=(call,)), HELLO))["messages"]

    assert turns[1]["content"][0]["input"] == given


def test_images_travel_as_base64() -> None:
    part = ImagePart(type="image_url", image_url=ImageUrl(url=PNG, detail="low"))
    turns: Any = request(asked(UserMessage(role="user", content=(part,))))["messages"]

    assert turns[0]["content"] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    ]


def test_a_conversation_of_the_assistant_alone_is_opened_and_carried_on() -> None:
    turns: Any = request(asked(AssistantMessage(role="assistant", content="Well?")))["messages"]

    assert [(turn["role"], turn["content"][0]["text"]) for turn in turns] == [
        ("user", "Begin."),
        ("assistant", "Well?"),
        ("user", "Continue."),
    ]


def test_stops_of_white_space_are_left_out() -> None:
    assert request(asked(params=Params(stop=("\n", "END"))))["stop_sequences"] == ["END"]


@pytest.mark.parametrize(("given", "sent"), [(0.0, 0.0), (0.7, 0.7), (1.0, 1.0), (1.6, 1.0)])
def test_the_temperature_is_clamped_and_not_scaled(given: float, sent: float) -> None:
    assert request(asked(params=Params(temperature=given)))["temperature"] == sent


def test_temperature_and_top_p_exclude_each_other_where_the_model_says_so() -> None:
    both = Params(temperature=0.5, top_p=0.9)

    assert "top_p" not in request(asked(params=both))
    assert request(asked(params=Params(top_p=0.9)))["top_p"] == 0.9
    assert request(asked(model="claude-3-5-haiku-latest", params=both))["top_p"] == 0.9


@pytest.mark.parametrize("model", [NEW, "claude-opus-4-7", "claude-sonnet-5", "claude-fable-5", "claude-next"])
def test_models_that_refuse_sampling_are_not_sent_any(model: str) -> None:
    assert not {"temperature", "top_p"} & set(request(asked(model=model, params=Params(temperature=0.5, top_p=0.9))))


def heard(*blocks: dict[str, Any], stop_reason: str | None, **fields: Any) -> Transcript:
    transcript = Transcript()
    transcript.take(Answered.model_validate({"content": blocks, "stop_reason": stop_reason, **fields}))
    return transcript


@pytest.mark.parametrize(
    ("stop_reason", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "unknown"),
        ("refusal", "refusal"),
        ("something_new", "unknown"),
        (None, "unknown"),
    ],
)
def test_every_reason_to_stop_is_one_of_ours(stop_reason: str | None, reason: str) -> None:
    assert answer(heard({"type": "text", "text": "Hi."}, stop_reason=stop_reason))[1] == reason


def test_thinking_is_not_part_of_the_answer() -> None:
    blocks = ({"type": "thinking", "thinking": "Hm.", "signature": "s"}, {"type": "text", "text": "Hi."})

    assert answer(heard(*blocks, stop_reason="end_turn"))[0].content == "Hi."


def test_a_tool_use_becomes_a_call_with_json_text() -> None:
    blocks = (
        {"type": "text", "text": "Let me see."},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Bern"}},
    )

    output, reason = answer(heard(*blocks, stop_reason="tool_use"))

    assert reason == "tool_calls"
    assert output.content == "Let me see."
    assert output.tool_calls == (
        response.ToolCall(id="toolu_1", function=response.FunctionCall(name="weather", arguments='{"city":"Bern"}')),
    )


def test_the_input_of_our_own_tool_is_the_answer() -> None:
    blocks = (
        {"type": "text", "text": "Here it is:"},
        {"type": "tool_use", "id": "toolu_1", "name": ANSWER_TOOL, "input": {"city": "Bern"}},
    )

    output, reason = answer(heard(*blocks, stop_reason="tool_use"))

    assert (output.content, output.tool_calls, reason) == ('{"city":"Bern"}', (), "stop")


def test_a_refusal_says_why_if_anthropic_does() -> None:
    told = answer(heard(stop_reason="refusal", stop_details={"type": "refusal", "explanation": "Too dangerous."}))
    untold = answer(heard(stop_reason="refusal", stop_details=None))

    assert told[0].refusal == "Too dangerous."
    assert untold[0].refusal == "The model refused to answer."


def test_a_stream_is_put_together_from_its_events() -> None:
    usage: JsonObject = {"input_tokens": 9, "output_tokens": 1, "service_tier": "standard"}
    events: tuple[JsonObject, ...] = (
        {"type": "message_start", "message": {"model": "m", "content": [], "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Let me "}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "see."}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}},
        },
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"city"'}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": ':"Bern"}'}},
        {"type": "something_new", "index": 7},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use"},
            "usage": {"input_tokens": None, "output_tokens": 12},
        },
        {"type": "message_stop"},
    )
    transcript = Transcript()

    spoke = [transcript.add(StreamEvent.model_validate(event)) for event in events]
    output, reason = answer(transcript)

    assert spoke == [False, False, True, True, False, True, True, True, False, False, False]
    assert (output.content, reason) == ("Let me see.", "tool_calls")
    assert output.tool_calls[0].function.arguments == '{"city":"Bern"}'
    assert transcript.usage == {"input_tokens": 9, "output_tokens": 12, "service_tier": "standard"}


def test_a_tool_without_arguments_is_called_with_an_empty_object() -> None:
    transcript = Transcript()
    block: JsonObject = {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}}
    transcript.add(StreamEvent.model_validate({"type": "content_block_start", "index": 0, "content_block": block}))

    assert answer(transcript)[0].tool_calls[0].function.arguments == "{}"
