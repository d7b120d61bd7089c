"""Anthropic's own SDK, told only another base_url, works against the simulator and finds its usage on the bill."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import anthropic
import httpx2
import orjson
import pytest
from anthropic.types import MessageParam, TextBlockParam, ToolParam
from pydantic import BaseModel

from scripts.simulator.process import RunningSimulator, start_simulator

pytestmark = pytest.mark.integration

HAIKU = "claude-haiku-4-5"
LONG = "word" + " word" * 2_999
WEATHER: ToolParam = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


class Recipe(BaseModel):
    title: str
    steps: list[str]


@pytest.fixture(scope="module")
def running() -> Iterator[RunningSimulator]:
    with start_simulator() as simulator:
        yield simulator


@pytest.fixture
def simulator(running: RunningSimulator) -> RunningSimulator:
    httpx2.post(f"{running.base_url}/_control/reset").raise_for_status()
    return running


@pytest.fixture
def client(simulator: RunningSimulator) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=simulator.anthropic_url, api_key="sk-test", max_retries=0) as client:
        yield client


def user(text: str) -> list[MessageParam]:
    return [{"role": "user", "content": text}]


def bill_lines(simulator: RunningSimulator) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in httpx2.get(f"{simulator.base_url}/_bill/lines").iter_lines()]


def text_of(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_an_answer_has_its_true_usage_and_costs_what_the_price_list_says(
    simulator: RunningSimulator, client: anthropic.Anthropic
) -> None:
    response = client.messages.with_raw_response.create(
        model=HAIKU, max_tokens=50, messages=user("[[answer:Hello there.]]")
    )
    message = response.parse()
    assert text_of(message) == "Hello there."
    assert (message.stop_reason, message.model) == ("end_turn", "claude-haiku-4-5-20251001")
    # Seven tokens of prompt with 3 + 1 + 3 of framing.
    assert (message.usage.input_tokens, message.usage.output_tokens) == (14, 3)
    (line,) = bill_lines(simulator)
    assert Decimal(line["cost_usd"]) == (14 * Decimal(1) + 3 * Decimal(5)) / 1_000_000
    assert line["request_id"] == response.headers["request-id"]


def test_a_stream_brings_the_events_in_order_and_the_same_message_in_the_end(client: anthropic.Anthropic) -> None:
    whole = client.messages.create(model=HAIKU, max_tokens=500, messages=user("[[tokens:4]] rivers"))
    with client.messages.create(
        model=HAIKU, max_tokens=500, messages=user("[[tokens:4]] rivers"), stream=True
    ) as stream:
        kinds = [event.type for event in stream]
    assert kinds == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * 4,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    with client.messages.stream(model=HAIKU, max_tokens=500, messages=user("[[tokens:4]] rivers")) as stream:
        streamed = stream.get_final_message()
    assert text_of(streamed) == text_of(whole)
    assert streamed.usage == whole.usage
    assert streamed.stop_reason == "end_turn"


def test_a_stream_keeps_the_connection_alive_with_pings(simulator: RunningSimulator) -> None:
    answer = httpx2.post(
        f"{simulator.anthropic_url}/v1/messages",
        headers={"x-api-key": "sk-test", "anthropic-version": "2023-06-01"},
        json={"model": HAIKU, "max_tokens": 5, "messages": user("hi"), "stream": True},
    )
    assert "event: ping\n" in answer.text


def test_a_named_tool_is_used_and_its_result_is_answered_in_words(client: anthropic.Anthropic) -> None:
    question = user("use get_weather for Oslo")
    used = client.messages.create(model=HAIKU, max_tokens=500, messages=question, tools=[WEATHER])
    assert used.stop_reason == "tool_use"
    (block,) = used.content
    assert block.type == "tool_use"
    assert block.name == "get_weather"
    assert isinstance(block.input["city"], str)
    history: list[MessageParam] = [
        *question,
        used.to_param(),
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": block.id, "content": "4 degrees"}]},
    ]
    answered = client.messages.create(model=HAIKU, max_tokens=500, messages=history, tools=[WEATHER])
    assert answered.stop_reason == "end_turn"
    assert text_of(answered)
    with client.messages.stream(model=HAIKU, max_tokens=500, messages=question, tools=[WEATHER]) as stream:
        assert stream.get_final_message().content == used.content


def test_structured_output_parses_into_the_model_it_was_asked_for(client: anthropic.Anthropic) -> None:
    message = client.messages.parse(model=HAIKU, max_tokens=500, messages=user("a soup"), output_format=Recipe)
    assert message.parsed_output is not None
    assert message.parsed_output.steps


def test_a_picture_is_read_and_counted(client: anthropic.Anthropic) -> None:
    content: MessageParam = {
        "role": "user",
        "content": [
            {"type": "text", "text": "hi"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
        ],
    }
    counted = client.messages.count_tokens(model=HAIKU, messages=[content])
    assert counted.input_tokens == 3 + 1 + 1 + 1_590 + 3


def test_limits_and_stop_sequences_end_the_answer_and_say_so(client: anthropic.Anthropic) -> None:
    limited = client.messages.create(model=HAIKU, max_tokens=7, messages=user("[[tokens:90]]"))
    assert (limited.stop_reason, limited.usage.output_tokens) == ("max_tokens", 7)
    stopped = client.messages.create(
        model=HAIKU, max_tokens=50, messages=user("[[answer:one two three]]"), stop_sequences=[" three"]
    )
    assert (text_of(stopped), stopped.stop_reason, stopped.stop_sequence) == ("one two", "stop_sequence", " three")


def test_thinking_is_shown_counted_and_billed_as_output(
    simulator: RunningSimulator, client: anthropic.Anthropic
) -> None:
    with client.messages.stream(
        model="claude-opus-4-5",
        max_tokens=4_000,
        messages=user("[[tokens:9]]"),
        thinking={"type": "enabled", "budget_tokens": 2_000},
    ) as stream:
        message = stream.get_final_message()
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.usage.output_tokens_details is not None
    thought = message.usage.output_tokens_details.thinking_tokens
    assert message.usage.output_tokens == thought + 9
    (line,) = bill_lines(simulator)
    assert line["tokens"]["reasoning"] == thought


def test_a_marked_prefix_is_written_then_read_outside_the_input_tokens(
    simulator: RunningSimulator, client: anthropic.Anthropic
) -> None:
    system: list[TextBlockParam] = [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    later: MessageParam = {
        "role": "user",
        "content": [{"type": "text", "text": " word" * 100, "cache_control": {"type": "ephemeral"}}],
    }
    asked: MessageParam = {"role": "user", "content": "[[tokens:5]]"}
    said: MessageParam = {"role": "assistant", "content": "ok"}
    first, second = (
        client.messages.create(model=HAIKU, max_tokens=50, system=system, messages=[later, said, asked]).usage
        for _ in range(2)
    )
    assert first.cache_creation is not None
    assert first.cache_creation.ephemeral_1h_input_tokens == 3_000
    # The message's own framing of 3 + 1 tokens is part of what is cached.
    assert first.cache_creation.ephemeral_5m_input_tokens == 104
    assert (first.cache_creation_input_tokens, first.cache_read_input_tokens) == (3_104, 0)
    assert (second.cache_creation_input_tokens, second.cache_read_input_tokens) == (0, 3_104)
    assert first.input_tokens == second.input_tokens
    plain = first.input_tokens * Decimal(1) + 5 * Decimal(5)
    costs = [Decimal(line["cost_usd"]) for line in bill_lines(simulator)]
    assert costs == [
        (plain + 3_000 * Decimal(2) + 104 * Decimal("1.25")) / 1_000_000,
        (plain + 3_104 * Decimal("0.1")) / 1_000_000,
    ]


def test_counting_tokens_equals_the_input_of_the_call_and_is_free(
    simulator: RunningSimulator, client: anthropic.Anthropic
) -> None:
    counted = client.messages.count_tokens(model=HAIKU, messages=user("hi"), system="Be brief.", tools=[WEATHER])
    assert bill_lines(simulator) == []
    message = client.messages.create(
        model=HAIKU, max_tokens=5, messages=user("hi"), system="Be brief.", tools=[WEATHER]
    )
    assert message.usage.input_tokens == counted.input_tokens


def test_models_are_listed(client: anthropic.Anthropic) -> None:
    assert "claude-opus-5-5" in {model.id for model in client.models.list()}


def test_refusals_are_the_exceptions_the_sdk_knows_and_cost_nothing(
    simulator: RunningSimulator, client: anthropic.Anthropic
) -> None:
    with pytest.raises(anthropic.NotFoundError) as missing:
        client.messages.create(model="claude-zero", max_tokens=5, messages=user("hi"))
    assert missing.value.type == "not_found_error"
    refused = httpx2.post(
        f"{simulator.anthropic_url}/v1/messages",
        headers={"x-api-key": "sk-test", "anthropic-version": "2023-06-01"},
        json={"model": HAIKU, "messages": user("hi")},
    )
    body = refused.json()
    assert refused.status_code == 400
    assert body["error"] == {"type": "invalid_request_error", "message": "max_tokens: Field required"}
    assert body["request_id"] == refused.headers["request-id"]
    with (
        anthropic.Anthropic(base_url=simulator.anthropic_url, api_key="sk-revoked", max_retries=0) as stranger,
        pytest.raises(anthropic.AuthenticationError),
    ):
        stranger.messages.create(model=HAIKU, max_tokens=5, messages=user("hi"))
    assert bill_lines(simulator) == []
