"""Every fault reaches the SDKs as the failure it imitates, and the bill has what a provider would charge for it."""

import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from json import JSONDecodeError
from typing import Any

import anthropic
import httpx2
import openai
import orjson
import pytest
from anthropic.types import MessageParam
from openai.types.chat import ChatCompletionMessageParam

from scripts.simulator.process import RunningSimulator, start_simulator
from scripts.simulator.settings import SimulatorSettings

pytestmark = pytest.mark.integration

HAIKU = "claude-haiku-4-5"
# Long enough for a child process on a busy machine; a condition that holds is seen within milliseconds.
PATIENCE_S = 20


@pytest.fixture(scope="module")
def running() -> Iterator[RunningSimulator]:
    with start_simulator(SimulatorSettings(tokens_per_s=400)) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: RunningSimulator) -> RunningSimulator:
    httpx2.post(f"{running.base_url}/_control/reset").raise_for_status()
    return running


@pytest.fixture
def gpt(simulator: RunningSimulator) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=simulator.openai_url, api_key="sk-test", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(simulator: RunningSimulator) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=simulator.anthropic_url, api_key="sk-test", max_retries=0) as client:
        yield client


def prompt(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def claude_prompt(text: str) -> list[MessageParam]:
    return [{"role": "user", "content": text}]


def ask(client: openai.OpenAI, text: str, model: str = "gpt-4o") -> str:
    answer = client.chat.completions.create(model=model, messages=prompt(text))
    return answer.choices[0].message.content or ""


def ask_claude(client: anthropic.Anthropic, text: str) -> anthropic.types.Message:
    return client.messages.create(model=HAIKU, max_tokens=500, messages=claude_prompt(text))


def bill_lines(simulator: RunningSimulator) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in httpx2.get(f"{simulator.base_url}/_bill/lines").iter_lines()]


def stats(simulator: RunningSimulator) -> dict[str, Any]:
    return httpx2.get(f"{simulator.base_url}/_control/stats").json()


def holds_soon(condition: Callable[[], bool]) -> bool:
    """Asks until it holds; every question is a round trip to the simulator, which paces the asking."""
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        if condition():
            return True
    return False


@pytest.mark.parametrize(
    ("kind", "error", "claude_error"),
    [
        ("429", openai.RateLimitError, anthropic.RateLimitError),
        ("quota", openai.RateLimitError, anthropic.BadRequestError),
        ("500", openai.InternalServerError, anthropic.InternalServerError),
        ("503", openai.InternalServerError, anthropic.ServiceUnavailableError),
        ("529", openai.InternalServerError, anthropic.OverloadedError),
        ("error", openai.InternalServerError, anthropic.InternalServerError),
    ],
)
def test_a_refused_call_raises_the_sdks_error_and_is_free(
    simulator: RunningSimulator,
    gpt: openai.OpenAI,
    claude: anthropic.Anthropic,
    kind: str,
    error: type[Exception],
    claude_error: type[Exception],
) -> None:
    with pytest.raises(error):
        ask(gpt, f"[[fault:{kind}]]")
    with pytest.raises(claude_error):
        ask_claude(claude, f"[[fault:{kind}]]")
    assert bill_lines(simulator) == []


def test_a_limited_call_says_when_to_come_back_and_succeeds_then(gpt: openai.OpenAI) -> None:
    text = "[[fault:429 times=2 retry_after=1.5]] [[answer:here]]"
    for _ in range(2):
        with pytest.raises(openai.RateLimitError) as limited:
            ask(gpt, text)
        headers = limited.value.response.headers
        assert (headers["retry-after"], headers["retry-after-ms"]) == ("2", "1500")
        assert limited.value.code == "rate_limit_exceeded"
    assert ask(gpt, text) == "here"


def test_an_overloaded_claude_says_so_in_its_own_words(claude: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.OverloadedError) as overloaded:
        ask_claude(claude, "[[fault:529]]")
    assert (overloaded.value.status_code, overloaded.value.type) == (529, "overloaded_error")


def test_a_fault_nobody_knows_is_a_bad_request_that_names_the_known_ones(gpt: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="429, quota, 500"):
        ask(gpt, "[[fault:flood]]")


def test_a_call_that_hangs_is_never_answered_and_never_charged(simulator: RunningSimulator, gpt: openai.OpenAI) -> None:
    with pytest.raises(openai.APITimeoutError):
        ask(gpt.with_options(timeout=0.4), "[[fault:hang]]")
    assert holds_soon(lambda: stats(simulator)["in_flight"] == 0)
    assert bill_lines(simulator) == []


def test_an_answer_nobody_waited_for_is_charged_in_full(simulator: RunningSimulator, gpt: openai.OpenAI) -> None:
    text = "[[fault:late times=1]] [[answer:one two three]]"
    with pytest.raises(openai.APITimeoutError):
        ask(gpt.with_options(timeout=0.4), text)
    assert holds_soon(lambda: len(bill_lines(simulator)) == 1)
    assert ask(gpt, text) == "one two three"
    late, answered = bill_lines(simulator)
    assert (late["kind"], answered["kind"]) == ("abandoned", "complete")
    assert late["cost_usd"] == answered["cost_usd"]


def test_an_answer_given_up_while_it_is_written_is_charged_for_its_input(
    simulator: RunningSimulator, gpt: openai.OpenAI
) -> None:
    with pytest.raises(openai.APITimeoutError):
        ask(gpt.with_options(timeout=0.4), "[[fault:slow delay=900]] [[tokens:100]]")
    assert holds_soon(lambda: len(bill_lines(simulator)) == 1)
    (line,) = bill_lines(simulator)
    assert line["kind"] == "abandoned"
    assert line["tokens"]["input"] > 0
    # Less than a second out of 900 s is less than one token out of a hundred.
    assert line["tokens"]["output"] == 0


def test_a_whole_answer_cut_in_the_middle_is_a_connection_error_and_is_charged_in_full(
    simulator: RunningSimulator, gpt: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    with pytest.raises(openai.APIConnectionError):
        ask(gpt, "[[fault:cut]] [[tokens:50]]")
    with pytest.raises(anthropic.APIConnectionError):
        ask_claude(claude, "[[fault:cut]] [[tokens:50]]")
    assert [(line["kind"], line["tokens"]["output"]) for line in bill_lines(simulator)] == [("cut", 50)] * 2


def test_a_stream_cut_after_some_tokens_is_charged_for_those(simulator: RunningSimulator, gpt: openai.OpenAI) -> None:
    texts: list[str] = []
    with (
        gpt.chat.completions.create(
            model="gpt-4o", messages=prompt("[[fault:cut after=7]] [[tokens:50]]"), stream=True
        ) as stream,
        pytest.raises(openai.APIConnectionError),
    ):
        texts.extend(chunk.choices[0].delta.content or "" for chunk in stream)
    (line,) = bill_lines(simulator)
    assert (line["kind"], line["stream"], line["tokens"]["output"]) == ("cut", True, 7)
    assert Decimal(line["cost_usd"]) == (line["tokens"]["input"] * Decimal("2.5") + 70) / 1_000_000


def test_a_cut_event_stream_of_claude_raises_the_transports_own_error(
    simulator: RunningSimulator, claude: anthropic.Anthropic
) -> None:
    kinds: list[str] = []
    with (
        claude.messages.create(
            model=HAIKU, max_tokens=500, messages=claude_prompt("[[fault:cut after=3]] [[tokens:50]]"), stream=True
        ) as stream,
        pytest.raises(httpx2.RemoteProtocolError),
    ):
        kinds.extend(event.type for event in stream)
    assert kinds == ["message_start", "content_block_start", *["content_block_delta"] * 3]
    (line,) = bill_lines(simulator)
    assert (line["kind"], line["tokens"]["output"]) == ("cut", 3)


def test_a_stream_that_ends_in_an_error_event_raises_it(
    simulator: RunningSimulator, gpt: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    text = "[[fault:error after=5]] [[tokens:50]]"
    with (
        gpt.chat.completions.create(model="gpt-4o", messages=prompt(text), stream=True) as stream,
        pytest.raises(openai.APIError, match="The server had an error"),
    ):
        list(stream)
    with (
        claude.messages.create(model=HAIKU, max_tokens=500, messages=claude_prompt(text), stream=True) as events,
        pytest.raises(anthropic.APIStatusError, match="api_error"),
    ):
        list(events)
    assert [(line["kind"], line["tokens"]["output"]) for line in bill_lines(simulator)] == [("cut", 5)] * 2


def test_malformed_json_comes_with_status_200_and_is_charged(
    simulator: RunningSimulator, gpt: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    with pytest.raises(ValueError, match="Unterminated string"):
        ask(gpt, "[[fault:malformed]] [[tokens:60]]")
    with pytest.raises(ValueError, match="Unterminated string"):
        ask_claude(claude, "[[fault:malformed]] [[tokens:60]]")
    with (
        gpt.chat.completions.create(
            model="gpt-4o", messages=prompt("[[fault:malformed]] [[tokens:60]]"), stream=True
        ) as stream,
        pytest.raises(JSONDecodeError),
    ):
        list(stream)
    assert [(line["kind"], line["tokens"]["output"]) for line in bill_lines(simulator)] == [
        ("complete", 60),
        ("complete", 60),
        ("cut", 30),
    ]


def test_a_slow_first_token_comes_after_the_headers(gpt: openai.OpenAI) -> None:
    started_s = time.monotonic()
    with gpt.chat.completions.create(
        model="gpt-4o", messages=prompt("[[fault:slow delay=0.4]] [[tokens:3]]"), stream=True
    ) as stream:
        headers_s = time.monotonic() - started_s
        next(iter(stream))
        first_s = time.monotonic() - started_s
    assert headers_s < first_s
    assert first_s >= 0.4


def test_a_stream_keeps_its_pace(gpt: openai.OpenAI) -> None:
    started_s = time.monotonic()
    with gpt.chat.completions.create(model="gpt-4o", messages=prompt("[[tokens:80]]"), stream=True) as stream:
        list(stream)
    # 80 tokens at 400 a second, of which the last hundredth of a second travels ahead of time.
    assert time.monotonic() - started_s >= 0.18


def test_a_client_that_leaves_a_stream_pays_for_what_was_written_until_then(
    simulator: RunningSimulator, gpt: openai.OpenAI
) -> None:
    with gpt.chat.completions.create(model="gpt-4o", messages=prompt("[[tokens:4000]]"), stream=True) as stream:
        told = sum(1 for chunk, _ in zip(stream, range(10), strict=False) if chunk.choices[0].delta.content)
    assert holds_soon(lambda: len(bill_lines(simulator)) == 1)
    (line,) = bill_lines(simulator)
    assert line["kind"] == "abandoned"
    assert told <= line["tokens"]["output"] < 4_000
    assert line["tokens"]["input"] > 0


def test_a_plan_can_be_set_replaced_for_one_model_and_dropped_while_running(
    simulator: RunningSimulator, gpt: openai.OpenAI
) -> None:
    faults = f"{simulator.base_url}/_control/faults"
    httpx2.post(faults, json={"rules": [{"kind": "500", "rate": 1}]}).raise_for_status()
    with pytest.raises(openai.InternalServerError):
        ask(gpt, "hi")
    httpx2.post(faults, json={"rules": []}).raise_for_status()
    httpx2.post(faults, json={"model": "gpt-4o", "rules": [{"kind": "429", "rate": 1}]}).raise_for_status()
    with pytest.raises(openai.RateLimitError):
        ask(gpt, "hi")
    assert ask(gpt, "hi", "gpt-4o-mini")
    assert httpx2.get(faults).json() == {"rules": [{"kind": "429", "rate": 1.0, "model": "gpt-4o", "delay_s": 5.0}]}
    httpx2.delete(faults).raise_for_status()
    assert ask(gpt, "hi")


def test_a_plan_that_makes_no_sense_is_refused_with_its_reason(simulator: RunningSimulator) -> None:
    refused = httpx2.post(f"{simulator.base_url}/_control/faults", json={"rules": [{"kind": "flood", "rate": 2}]})
    assert refused.status_code == 400
    assert "rules.0.kind" in refused.json()["error"]
    assert httpx2.get(f"{simulator.base_url}/_control/faults").json() == {"rules": []}


def test_faults_and_answers_are_counted(simulator: RunningSimulator, gpt: openai.OpenAI) -> None:
    before = stats(simulator)
    ask(gpt, "hi")
    with pytest.raises(openai.RateLimitError):
        ask(gpt, "[[fault:429]]")
    after = stats(simulator)
    assert after["statuses"]["200"] == before["statuses"].get("200", 0) + 1
    assert after["faults"]["429"] == before["faults"].get("429", 0) + 1
    assert after["in_flight"] == 0


def test_the_bills_total_is_the_sum_of_its_lines_and_can_be_cleared(
    simulator: RunningSimulator, gpt: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    ask(gpt, "one")
    ask(gpt, "two", "o4-mini")
    ask_claude(claude, "three")
    summary = httpx2.get(f"{simulator.base_url}/_bill").json()
    lines = bill_lines(simulator)
    assert summary["calls"] == len(lines) == 3
    assert Decimal(summary["cost_usd"]) == sum(Decimal(line["cost_usd"]) for line in lines) > 0
    assert set(summary["models"]) == {"gpt-4o", "o4-mini", HAIKU}
    httpx2.delete(f"{simulator.base_url}/_bill").raise_for_status()
    assert httpx2.get(f"{simulator.base_url}/_bill").json() == {"calls": 0, "cost_usd": "0", "models": {}}
