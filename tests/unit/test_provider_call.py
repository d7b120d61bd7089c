"""The frame around every call: its time, its measures and its way of ending."""

import asyncio

import httpx2
import pytest
from msgspec.structs import replace

from schemas.prompt import Prompt, UserMessage
from streams.providers.call import Call
from streams.providers.clock import Clock
from streams.providers.errors import openai_error
from streams.providers.openai_transcript import Transcript
from streams.providers.openai_wire import Chunk
from streams.providers.protocol import Lost, ProviderError, Question

QUESTION = Question(
    "acme/r-1/1", "m", Prompt(messages=(UserMessage(role="user", content="Hi."),)), stream=True, timeout_ms=30
)


class Time:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 100.0

    @property
    def clock(self) -> Clock:
        return Clock(monotonic_s=lambda: self.now_s, now_ms=lambda: int(self.now_s * 1_000))


def call(heard: Transcript, *, question: Question = QUESTION, time: Time | None = None) -> Call:
    return Call(question, heard, (time or Time()).clock, openai_error)


async def error_of(under_way: Call, error: Exception) -> ProviderError:
    async def work() -> None:
        raise error

    with pytest.raises(ProviderError) as caught:
        await under_way.run(work())
    return caught.value


def test_the_first_token_is_measured_from_the_start_and_only_once() -> None:
    time = Time()
    under_way = call(Transcript(), time=time)

    time.now_s += 0.25
    under_way.spoke()
    time.now_s += 5
    under_way.spoke()

    assert under_way.first_token_ms == 250


@pytest.mark.parametrize(("timeout_ms", "connect_s"), [(60_000, 5.0), (4_000, 2.0)])
def test_connecting_leaves_time_for_an_answer(timeout_ms: int, connect_s: float) -> None:
    assert call(Transcript(), question=replace(QUESTION, timeout_ms=timeout_ms)).connect_s == connect_s


@pytest.mark.asyncio
@pytest.mark.parametrize(("timeout_ms", "is_cut_short"), [(60_000, False), (10_000, False), (4_000, True)])
@pytest.mark.parametrize(
    ("problem", "is_late"), [(httpx2.ConnectTimeout("t"), True), (httpx2.ConnectError("e"), False)], ids=["late", "no"]
)
async def test_time_to_connect_was_cut_short_only_if_there_was_less_than_is_usual_and_it_ran_out(
    timeout_ms: int, is_cut_short: bool, problem: Exception, is_late: bool
) -> None:
    error = await error_of(call(Transcript(), question=replace(QUESTION, timeout_ms=timeout_ms)), problem)

    assert (error.error_class, error.cut_short) == ("connection", is_cut_short and is_late)


def test_an_id_of_any_length_and_letters_fits_a_header() -> None:
    header = call(Transcript(), question=replace(QUESTION, attempt_id="ü\r\n" * 400)).headers["X-Client-Request-Id"]

    assert header.isascii()
    assert header.isprintable()
    assert len(header) == 512


@pytest.mark.asyncio
async def test_time_that_runs_out_before_the_first_byte_is_a_timeout() -> None:
    with pytest.raises(Lost) as caught:
        await call(Transcript()).run(_forever())

    assert (caught.value.error_class, caught.value.usage_source) == ("timeout", "none")


@pytest.mark.asyncio
async def test_time_that_runs_out_in_mid_stream_keeps_the_usage_so_far() -> None:
    under_way = call(Transcript(began=True, usage={"prompt_tokens": 3}))
    under_way.opened("req_1", answering=True)

    with pytest.raises(Lost) as caught:
        await under_way.run(_forever())

    assert (caught.value.error_class, caught.value.usage_source) == ("timeout", "partial")
    assert caught.value.provider_request_id == "req_1"


@pytest.mark.asyncio
async def test_what_breaks_after_the_last_word_does_not_undo_the_answer() -> None:
    under_way = call(Transcript(began=True, finish="stop"))
    under_way.opened(None, answering=True)

    async def work() -> None:
        raise ConnectionResetError

    await under_way.run(work())


@pytest.mark.asyncio
async def test_what_was_heard_of_a_stream_before_it_broke_is_counted() -> None:
    heard = Transcript()
    heard.add(Chunk.model_validate({"choices": [{"delta": {"content": "Knead for ten"}}]}))
    under_way = call(heard)
    under_way.opened("req_1", answering=True)

    got = await error_of(under_way, ConnectionResetError())

    assert (got.answering, got.heard_tokens) == (True, 4)


@pytest.mark.asyncio
async def test_of_an_answer_sent_as_a_whole_nothing_is_heard_but_that_it_had_begun() -> None:
    under_way = call(Transcript(), question=replace(QUESTION, stream=False))
    under_way.opened("req_1", answering=True)

    got = await error_of(under_way, ConnectionResetError())

    assert (got.ambiguous, got.answering, got.heard_tokens) == (True, True, None)


@pytest.mark.asyncio
async def test_before_its_first_byte_nobody_knows_whether_there_will_be_an_answer() -> None:
    got = await error_of(call(Transcript()), ConnectionResetError())

    assert (got.ambiguous, got.answering, got.heard_tokens) == (True, False, None)


@pytest.mark.asyncio
async def test_a_fault_of_our_own_ends_as_a_lost_call_too() -> None:
    got = await error_of(call(Transcript()), KeyError("thyme"))

    assert isinstance(got, Lost)
    assert "thyme" not in got.message
    assert got.__suppress_context__


async def _forever() -> None:
    await asyncio.Event().wait()
