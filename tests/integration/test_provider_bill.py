"""What we book, held against what the provider would charge: to the last digit, whole and streamed."""

from collections.abc import Iterator
from decimal import Decimal
from json import loads

import httpx2
import pytest
from pydantic import SecretStr

from schemas.prompt import Params, Prompt, SystemMessage, UserMessage
from scripts.simulator.process import RunningSimulator, start_simulator
from scripts.simulator.settings import SimulatorSettings
from streams.cost.guess import expected_usage, usage_so_far
from streams.cost.price import price
from streams.cost.tokens import estimate_tokens
from streams.cost.usage import ProviderName, usage
from streams.providers.protocol import Lost, Question
from streams.providers.registry import Wiring, build

pytestmark = [pytest.mark.integration, pytest.mark.asyncio]

NOW_MS = 1_795_219_200_000  # 2026-11-21
MODELS: tuple[tuple[ProviderName, str], ...] = (
    ("openai", "gpt-4o-mini"),
    ("openai", "gpt-5"),
    ("openai", "gpt-5.4"),
    ("openai", "o4-mini"),
    ("anthropic", "claude-haiku-4-5"),
    ("anthropic", "claude-sonnet-5-5"),
)
LONG = SystemMessage(role="system", content="Weigh every word of the recipe for thyme bread. " * 300)


@pytest.fixture(scope="module")
def simulator() -> Iterator[RunningSimulator]:
    with start_simulator(SimulatorSettings(tokens_per_s=2_000, answer_tokens=20)) as running:
        yield running


def wiring(simulator: RunningSimulator, provider: ProviderName) -> Wiring:
    base_url = simulator.openai_url if provider == "openai" else simulator.anthropic_url
    return Wiring(provider, base_url, SecretStr("sk-any"))


def billed(simulator: RunningSimulator) -> Decimal:
    bill: dict[str, str] = httpx2.get(f"{simulator.base_url}/_bill").json()
    return Decimal(bill["cost_usd"])


@pytest.mark.parametrize(("provider", "model"), MODELS)
async def test_the_price_of_every_answer_is_what_the_provider_bills(
    simulator: RunningSimulator, provider: ProviderName, model: str
) -> None:
    before = billed(simulator)
    asked = build(wiring(simulator, provider))
    booked = Decimal(0)
    # The second round reads from the prompt cache what the first has put there.
    for stream in (False, True, False):
        prompt = Prompt(messages=(LONG, UserMessage(role="user", content=f"Where is the thyme? {stream}")))
        reply = await asked.ask(Question("a-1", model, prompt, stream=stream, timeout_ms=20_000))
        used = usage(provider, reply.usage_raw)
        cost = price(provider, reply.model_reported or model, used, NOW_MS, reply.service_tier)
        assert cost.total_usd is not None
        booked += cost.total_usd
    await asked.close()

    assert booked == billed(simulator) - before
    assert booked > 0


@pytest.mark.parametrize(("provider", "model"), MODELS)
async def test_a_stream_says_what_the_whole_answer_says(
    simulator: RunningSimulator, provider: ProviderName, model: str
) -> None:
    prompt = Prompt(
        messages=(UserMessage(role="user", content="Say something about bread."),),
        params=Params(max_tokens=4_000, temperature=0.3, stop=("loaf",)),
    )
    asked = build(wiring(simulator, provider))

    whole = await asked.ask(Question("a-1", model, prompt, stream=False, timeout_ms=20_000))
    streamed = await asked.ask(Question("a-2", model, prompt, stream=True, timeout_ms=20_000))
    await asked.close()

    assert streamed.output == whole.output
    assert streamed.finish_reason == whole.finish_reason
    assert streamed.usage_raw == whole.usage_raw


async def test_the_time_given_is_for_the_whole_call_however_busy_the_stream(simulator: RunningSimulator) -> None:
    prompt = Prompt(messages=(UserMessage(role="user", content="[[tokens:8000]]"),))
    asked = build(wiring(simulator, "anthropic"))

    with pytest.raises(Lost) as caught:
        await asked.ask(Question("a-1", "claude-haiku-4-5", prompt, stream=True, timeout_ms=400))
    await asked.close()

    assert caught.value.error_class == "timeout"
    assert caught.value.usage_source == "partial"


@pytest.mark.parametrize(("provider", "model", "stream"), [(*MODELS[0], True), (*MODELS[4], True), (*MODELS[4], False)])
async def test_a_lost_call_is_found_on_the_bill_by_our_own_id(
    simulator: RunningSimulator, provider: ProviderName, model: str, *, stream: bool
) -> None:
    prompt = Prompt(messages=(UserMessage(role="user", content="Is it ripe? [[fault:cut]]"),))
    attempt_id = f"lost/{model}/{stream}"
    asked = build(wiring(simulator, provider))

    with pytest.raises(Lost) as caught:
        await asked.ask(Question(attempt_id, model, prompt, stream=stream, timeout_ms=20_000))
    await asked.close()

    lines = [loads(line) for line in httpx2.get(f"{simulator.base_url}/_bill/lines").text.splitlines()]
    (line,) = [line for line in lines if line["client_request_id"] == attempt_id]
    assert caught.value.answering
    assert line["kind"] == "cut"
    assert caught.value.provider_request_id == line["request_id"]


@pytest.mark.parametrize(("provider", "model"), [MODELS[0], MODELS[4]])
async def test_the_estimate_of_a_cut_stream_is_of_the_size_that_the_provider_bills(
    simulator: RunningSimulator, provider: ProviderName, model: str
) -> None:
    prompt = Prompt(messages=(UserMessage(role="user", content="Say something about bread. [[fault:cut after=40]]"),))
    before = billed(simulator)
    asked = build(wiring(simulator, provider))

    with pytest.raises(Lost) as caught:
        await asked.ask(Question(f"cut/{model}", model, prompt, stream=True, timeout_ms=20_000))
    await asked.close()

    cut, expected = caught.value, expected_usage(estimate_tokens(prompt), None)
    used = usage_so_far(expected, provider, cut.usage_raw, cut.heard_tokens)
    booked = price(provider, model, used, NOW_MS).total_usd
    assert booked is not None
    assert abs(booked / (billed(simulator) - before) - 1) < Decimal("0.5")
