"""What every provider promises, whichever protocol it speaks; the real ones speak theirs over a socket."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from pydantic import SecretStr

from schemas.base import load_json
from scripts.simulator.process import RunningSimulator, start_simulator
from scripts.simulator.settings import SimulatorSettings
from streams.cost.usage import usage
from streams.providers.protocol import (
    Lost,
    Misconfigured,
    NotSent,
    ProviderError,
    Reply,
    TurnedAway,
    Unacceptable,
)
from tests.contract.provider_worlds import ANSWER, CANARY, KEY, Happening, InMemory, OverTheWire, World, question

SILENCE_MS = 250
EVERY_ERROR: tuple[Happening, ...] = (
    "rate limit",
    "overload",
    "failure",
    "no credit",
    "silence",
    "cut",
    "announced cut",
    "malformed",
    "unknown model",
    "wrong key",
    "bad question",
    "unreachable",
)

either_way = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@pytest.fixture(scope="module")
def simulator() -> Iterator[RunningSimulator]:
    with start_simulator(SimulatorSettings(key=(SecretStr(KEY),))) as running:
        yield running


@pytest_asyncio.fixture(
    params=[
        "in memory",
        pytest.param("openai", marks=pytest.mark.integration),
        pytest.param("anthropic", marks=pytest.mark.integration),
    ]
)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    made: World
    if request.param == "in memory":
        made = InMemory()
    else:
        running: RunningSimulator = request.getfixturevalue("simulator")
        if request.param == "openai":
            made = OverTheWire("openai", "gpt-4o-mini", running.openai_url)
        else:
            made = OverTheWire("anthropic", "claude-haiku-4-5", running.anthropic_url)
    yield made
    await made.close()


async def reply(world: World, happening: Happening, *, stream: bool) -> Reply:
    return await world.provider(happening).ask(question(happening, world.model, stream=stream))


async def error(world: World, happening: Happening, *, stream: bool) -> ProviderError:
    asked = question(happening, world.model, stream=stream, timeout_ms=SILENCE_MS if happening == "silence" else 20_000)
    with pytest.raises(ProviderError) as caught:
        await world.provider(happening).ask(asked)
    return caught.value


@either_way
@pytest.mark.asyncio
async def test_an_answer_comes_with_its_reason_its_model_and_the_providers_id(world: World, stream: bool) -> None:
    got = await reply(world, "answer", stream=stream)

    assert got.output.content == ANSWER
    assert got.finish_reason == "stop"
    assert got.model_reported is not None
    assert got.provider_request_id is not None


@either_way
@pytest.mark.asyncio
async def test_the_usage_of_an_answer_is_the_providers_own_and_adds_up(world: World, stream: bool) -> None:
    got = await reply(world, "answer", stream=stream)

    assert got.usage_source == "provider"
    used = usage(world.dialect, got.usage_raw)
    assert used.input_tokens > 0
    assert used.text_output_tokens > 0


@pytest.mark.asyncio
async def test_only_a_stream_knows_when_its_first_token_came(world: World) -> None:
    whole = await reply(world, "answer", stream=False)
    streamed = await reply(world, "answer", stream=True)

    assert whole.first_token_ms is None
    assert streamed.first_token_ms is not None
    assert streamed.first_token_ms >= 0


@either_way
@pytest.mark.asyncio
async def test_a_tool_call_has_an_id_a_name_and_json_arguments(world: World, stream: bool) -> None:
    got = await reply(world, "call", stream=stream)

    assert got.finish_reason == "tool_calls"
    (call,) = got.output.tool_calls
    assert call.id
    assert call.function.name == "weather"
    arguments = load_json(call.function.arguments)
    assert isinstance(arguments, dict)
    assert isinstance(arguments["city"], str)


@either_way
@pytest.mark.asyncio
async def test_a_rate_limit_says_when_to_come_back_and_costs_nothing(world: World, stream: bool) -> None:
    got = await error(world, "rate limit", stream=stream)

    assert isinstance(got, TurnedAway)
    assert (got.error_class, got.http_status, got.retry_after_ms) == ("rate_limited", 429, 2_000)
    assert (got.retryable, got.ambiguous) == (True, False)


@either_way
@pytest.mark.parametrize(("happening", "error_class"), [("overload", "overloaded"), ("failure", "server_error")])
@pytest.mark.asyncio
async def test_a_provider_that_fails_may_be_asked_again_for_free(
    world: World, stream: bool, happening: Happening, error_class: str
) -> None:
    got = await error(world, happening, stream=stream)

    assert isinstance(got, TurnedAway)
    assert got.error_class == error_class
    assert (got.retryable, got.ambiguous) == (True, False)


@pytest.mark.parametrize(
    ("happening", "error_class"),
    [("no credit", "permission"), ("unknown model", "not_found"), ("wrong key", "authentication")],
)
@pytest.mark.asyncio
async def test_what_is_wrong_with_a_deployment_is_a_reason_to_try_another(
    world: World, happening: Happening, error_class: str
) -> None:
    got = await error(world, happening, stream=False)

    assert isinstance(got, Misconfigured)
    assert got.error_class == error_class
    assert (got.retryable, got.elsewhere) == (False, True)


@pytest.mark.asyncio
async def test_what_is_wrong_with_the_question_is_wrong_everywhere(world: World) -> None:
    got = await error(world, "bad question", stream=False)

    assert isinstance(got, Unacceptable)
    assert got.error_class == "bad_request"
    assert (got.retryable, got.elsewhere, got.ambiguous) == (False, False, False)


@either_way
@pytest.mark.asyncio
async def test_silence_ends_when_the_time_is_up_and_may_have_been_billed(world: World, stream: bool) -> None:
    started_s = time.monotonic()

    got = await error(world, "silence", stream=stream)

    assert isinstance(got, Lost)
    assert got.error_class == "timeout"
    assert got.ambiguous
    assert time.monotonic() - started_s >= SILENCE_MS / 1_000


@pytest.mark.parametrize("happening", ["cut", "announced cut"])
@pytest.mark.asyncio
async def test_a_stream_that_breaks_off_is_lost_with_the_usage_known_by_then(
    world: World, happening: Happening
) -> None:
    got = await error(world, happening, stream=True)

    assert isinstance(got, Lost)
    assert got.error_class == "cut_stream"
    assert got.ambiguous
    assert got.usage_source == ("none" if got.usage_raw is None else "partial")


@either_way
@pytest.mark.asyncio
async def test_an_answer_that_is_not_the_protocol_is_lost(world: World, stream: bool) -> None:
    got = await error(world, "malformed", stream=stream)

    assert isinstance(got, Lost)
    assert got.error_class == "malformed_response"


@pytest.mark.asyncio
async def test_a_provider_that_cannot_be_reached_was_not_asked(world: World) -> None:
    got = await error(world, "unreachable", stream=False)

    assert isinstance(got, NotSent)
    assert (got.error_class, got.retryable, got.ambiguous) == ("connection", True, False)


@pytest.mark.parametrize("happening", EVERY_ERROR)
@pytest.mark.asyncio
async def test_no_error_shows_the_prompt_the_key_or_the_address(world: World, happening: Happening) -> None:
    got = await error(world, happening, stream=True)

    shown = f"{got} {got.message} {got.args!r}"
    for secret in (CANARY, KEY, "127.0.0.1", "call_of_nobody"):
        assert secret not in shown
    assert got.__cause__ is None
    assert got.__context__ is None or got.__suppress_context__


@either_way
@pytest.mark.asyncio
async def test_cancellation_passes_through(world: World, stream: bool) -> None:
    provider = world.provider("silence")
    asking = asyncio.create_task(provider.ask(question("silence", world.model, stream=stream)))
    ended, _ = await asyncio.wait([asking], timeout=0.05)
    assert not ended

    asking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking
