"""OpenAI's own SDK, told only another base_url, works against the simulator and finds its usage on the bill."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, cast

import httpx2
import openai
import orjson
import pytest
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel, SecretStr

from scripts.simulator.process import RunningSimulator, start_simulator
from scripts.simulator.settings import SimulatorSettings

pytestmark = pytest.mark.integration

LONG = "word" + " word" * 2_999
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Recipe(BaseModel):
    title: str
    minutes: int
    steps: list[str]
    vegan: bool | None


@pytest.fixture(scope="module")
def running() -> Iterator[RunningSimulator]:
    with start_simulator() as simulator:
        yield simulator


@pytest.fixture
def simulator(running: RunningSimulator) -> RunningSimulator:
    httpx2.post(f"{running.base_url}/_control/reset").raise_for_status()
    return running


@pytest.fixture
def client(simulator: RunningSimulator) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=simulator.openai_url, api_key="sk-test", max_retries=0) as client:
        yield client


def user(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def bill_lines(simulator: RunningSimulator) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in httpx2.get(f"{simulator.base_url}/_bill/lines").iter_lines()]


def test_an_answer_has_its_true_usage_and_costs_what_the_price_list_says(
    simulator: RunningSimulator, client: openai.OpenAI
) -> None:
    response = client.chat.completions.with_raw_response.create(
        model="gpt-4o", messages=user("[[answer:Hello there.]]"), extra_headers={"x-client-request-id": "mine-7"}
    )
    answer = response.parse()
    assert answer.choices[0].message.content == "Hello there."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "gpt-4o-2024-08-06"
    assert answer.usage is not None
    # Seven tokens of prompt, "[[", "answer", ":", "Hello", " there", ".]", "]", with 3 + 1 + 3 of framing.
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (14, 3)
    (line,) = bill_lines(simulator)
    assert line["cost_usd"] == str((14 * Decimal("2.5") + 3 * Decimal(10)) / 1_000_000)
    assert (line["kind"], line["stream"], line["client_request_id"]) == ("complete", False, "mine-7")
    assert line["request_id"] == response.headers["x-request-id"]


def test_a_stream_brings_the_same_answer_token_by_token_and_its_usage_last(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="gpt-4o-mini", messages=user("Tell me about rivers."))
    with client.chat.completions.create(
        model="gpt-4o-mini",
        messages=user("Tell me about rivers."),
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        chunks = list(stream)
    *told, last = chunks
    texts = [choice.delta.content or "" for chunk in told for choice in chunk.choices]
    assert "".join(texts) == whole.choices[0].message.content
    assert [chunk.usage for chunk in told] == [None] * len(told)
    assert told[-1].choices[0].finish_reason == "stop"
    assert last.choices == []
    assert last.usage == whole.usage
    assert len({chunk.id for chunk in chunks}) == 1


def test_identical_answers_have_ids_of_their_own(client: openai.OpenAI) -> None:
    answers = [client.chat.completions.create(model="gpt-4o", messages=user("hi")) for _ in range(2)]
    assert answers[0].choices == answers[1].choices
    assert answers[0].id != answers[1].id


def test_a_stream_without_the_wish_has_no_usage(client: openai.OpenAI) -> None:
    with client.chat.completions.create(model="gpt-4o", messages=user("[[tokens:3]]"), stream=True) as stream:
        chunks = list(stream)
    assert [chunk.usage for chunk in chunks] == [None] * 5
    assert all(chunk.choices for chunk in chunks)


def test_a_named_tool_is_called_and_its_result_is_answered_in_words(client: openai.OpenAI) -> None:
    question = user("use get_weather for Oslo")
    called = client.chat.completions.create(model="gpt-4o", messages=question, tools=[WEATHER])
    (choice,) = called.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert choice.message.tool_calls is not None
    (call,) = choice.message.tool_calls
    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert isinstance(orjson.loads(call.function.arguments)["city"], str)
    history: list[ChatCompletionMessageParam] = [
        *question,
        cast("ChatCompletionMessageParam", choice.message.model_dump(exclude_none=True)),
        {"role": "tool", "tool_call_id": call.id, "content": "4 degrees"},
    ]
    answered = client.chat.completions.create(model="gpt-4o", messages=history, tools=[WEATHER])
    assert answered.choices[0].finish_reason == "stop"
    assert answered.choices[0].message.content


def test_a_streamed_tool_call_arrives_in_pieces_of_the_same_arguments(client: openai.OpenAI) -> None:
    question = user("use get_weather for Oslo")
    whole = client.chat.completions.create(model="gpt-4o", messages=question, tools=[WEATHER]).choices[0].message
    assert whole.tool_calls is not None
    assert whole.tool_calls[0].type == "function"
    with client.chat.completions.create(model="gpt-4o", messages=question, tools=[WEATHER], stream=True) as stream:
        chunks: list[ChatCompletionChunk] = list(stream)
    deltas = [delta for chunk in chunks for delta in chunk.choices[0].delta.tool_calls or []]
    functions = [delta.function for delta in deltas if delta.function is not None]
    assert (deltas[0].id, functions[0].name) == (whole.tool_calls[0].id, "get_weather")
    assert "".join(function.arguments or "" for function in functions) == whole.tool_calls[0].function.arguments
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_structured_output_parses_into_the_model_it_was_asked_for(client: openai.OpenAI) -> None:
    parsed = client.chat.completions.parse(model="gpt-4o", messages=user("a soup"), response_format=Recipe)
    recipe = parsed.choices[0].message.parsed
    assert recipe is not None
    assert recipe.title
    assert recipe.steps


def test_json_mode_answers_an_object(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="gpt-4o", messages=user("in json please"), response_format={"type": "json_object"}
    )
    assert isinstance(orjson.loads(answer.choices[0].message.content or ""), dict)


def test_a_token_limit_ends_the_answer(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="gpt-4o", messages=user("[[tokens:90]]"), max_tokens=20)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 20


def test_a_picture_is_read_and_counted(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="gpt-4o",
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "hi"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                ],
            }
        ],
    )
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 3 + 1 + 1 + 765 + 3


def test_a_long_prompt_is_cached_and_billed_at_the_cached_rate_the_second_time(
    simulator: RunningSimulator, client: openai.OpenAI
) -> None:
    prompt: list[ChatCompletionMessageParam] = [
        {"role": "system", "content": LONG},
        {"role": "user", "content": "[[tokens:5]]"},
    ]
    usages = [client.chat.completions.create(model="gpt-4o", messages=prompt).usage for _ in range(2)]
    cached = [
        usage.prompt_tokens_details.cached_tokens
        for usage in usages
        if usage is not None and usage.prompt_tokens_details is not None
    ]
    assert cached == [0, 2_944]
    assert usages[0] is not None
    total = usages[0].prompt_tokens
    first, second = (line["cost_usd"] for line in bill_lines(simulator))
    assert Decimal(first) == (total * Decimal("2.5") + 5 * Decimal(10)) / 1_000_000
    assert Decimal(second) == ((total - 2_944) * Decimal("2.5") + 2_944 * Decimal("1.25") + 50) / 1_000_000


def test_thinking_is_reported_inside_the_completion_tokens_and_billed_as_output(
    simulator: RunningSimulator, client: openai.OpenAI
) -> None:
    usage = client.chat.completions.create(model="gpt-5-mini", messages=user("[[tokens:9]]")).usage
    assert usage is not None
    assert usage.completion_tokens_details is not None
    thought = usage.completion_tokens_details.reasoning_tokens or 0
    assert thought > 0
    assert usage.completion_tokens == 9 + thought
    (line,) = bill_lines(simulator)
    assert (line["tokens"]["output"], line["tokens"]["reasoning"]) == (9, thought)
    assert Decimal(line["cost_usd"]) == (usage.prompt_tokens * Decimal("0.25") + (9 + thought) * 2) / 1_000_000


def test_embeddings_arrive_as_numbers_and_are_billed_by_their_input(
    simulator: RunningSimulator, client: openai.OpenAI
) -> None:
    answer = client.embeddings.create(model="text-embedding-3-small", input=["a river", "a road"], dimensions=64)
    assert [len(row.embedding) for row in answer.data] == [64, 64]
    assert answer.usage.prompt_tokens == 4
    (line,) = bill_lines(simulator)
    assert line["cost_usd"] == "0.00000008"


def test_models_are_listed_under_all_their_names(client: openai.OpenAI) -> None:
    names = {model.id for model in client.models.list()}
    assert {"gpt-4o", "gpt-4o-2024-08-06", "o4-mini"} <= names
    assert not any(name.startswith("claude") for name in names)


def test_refusals_are_the_exceptions_the_sdk_knows_and_cost_nothing(
    simulator: RunningSimulator, client: openai.OpenAI
) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="gpt-9", messages=user("hi"))
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as negative:
        client.chat.completions.create(model="gpt-4o", messages=user("hi"), max_tokens=-5)
    assert (negative.value.param, negative.value.code) == ("max_tokens", "integer_below_min_value")
    with pytest.raises(openai.BadRequestError) as role:
        client.chat.completions.create(model="gpt-4o", messages=cast("Any", [{"role": "usr", "content": "hi"}]))
    assert role.value.param == "messages[0].role"
    assert bill_lines(simulator) == []


def test_a_body_that_is_not_json_and_a_path_that_is_not_there_get_errors_in_the_same_shape(
    simulator: RunningSimulator,
) -> None:
    key = {"authorization": "Bearer sk-test"}
    for body in (b"{nonsense", b"[1]"):
        refused = httpx2.post(f"{simulator.openai_url}/chat/completions", headers=key, content=body)
        assert refused.status_code == 400
        assert refused.json()["error"]["type"] == "invalid_request_error"
    lost = httpx2.post(f"{simulator.openai_url}/nowhere", headers=key, json={})
    assert (lost.status_code, lost.json()["error"]["code"]) == (404, "unknown_url")


def test_a_revoked_key_is_refused_and_its_name_is_not_repeated(simulator: RunningSimulator) -> None:
    with (
        openai.OpenAI(base_url=simulator.openai_url, api_key="sk-revoked", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as refused,
    ):
        client.chat.completions.create(model="gpt-4o", messages=user("hi"))
    assert refused.value.code == "invalid_api_key"
    assert "sk-revoked" not in str(refused.value)


def test_only_listed_keys_are_accepted_and_their_limits_are_kept_and_told() -> None:
    settings = SimulatorSettings(key=(SecretStr("sk-mine"),), requests_per_minute=1, tokens_per_minute=10_000)
    with start_simulator(settings) as simulator:
        with (
            openai.OpenAI(base_url=simulator.openai_url, api_key="sk-other", max_retries=0) as stranger,
            pytest.raises(openai.AuthenticationError),
        ):
            stranger.chat.completions.create(model="gpt-4o", messages=user("hi"))
        with openai.OpenAI(base_url=simulator.openai_url, api_key="sk-mine", max_retries=0) as client:
            first = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=user("hi"), max_tokens=92)
            assert first.headers["x-ratelimit-remaining-requests"] == "0"
            assert first.headers["x-ratelimit-remaining-tokens"] == "9900"
            with pytest.raises(openai.RateLimitError) as limited:
                client.chat.completions.create(model="gpt-4o", messages=user("hi"))
        assert 0 < int(limited.value.response.headers["retry-after"]) <= 60
