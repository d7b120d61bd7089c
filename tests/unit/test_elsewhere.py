"""What others are calling for is waited for until it is completed, given up, or its time is over."""

import asyncio

import pytest

from schemas.flow import HandedOver
from streams.invoke.elsewhere import Elsewhere
from tests.unit.examples import NOW_MS

LONG_MS = 3_600_000


def told(until_ms: int | None, worker: str = "other", identity: str = "acme/r-1") -> HandedOver:
    return HandedOver(identity=identity, worker=worker, until_ms=until_ms)


def holding(*news: HandedOver) -> Elsewhere:
    elsewhere = Elsewhere("me")
    for each in news:
        elsewhere.learn(each, NOW_MS)
    return elsewhere


def test_a_call_of_somebody_else_is_waited_for() -> None:
    elsewhere = holding(told(NOW_MS + 10))

    assert "acme/r-1" in elsewhere
    assert "acme/r-2" not in elsewhere
    assert len(elsewhere) == 1


def test_what_this_worker_handed_over_itself_it_does_not_wait_for() -> None:
    assert "acme/r-1" not in holding(told(NOW_MS + 10, "me"))


@pytest.mark.parametrize("until_ms", [None, NOW_MS - 1, NOW_MS])
def test_a_call_that_has_stopped_or_must_have_ended_is_not_waited_for(until_ms: int | None) -> None:
    assert "acme/r-1" not in holding(told(until_ms))
    assert "acme/r-1" not in holding(told(NOW_MS + 10), told(until_ms))


def test_with_two_that_call_for_it_both_are_waited_for() -> None:
    elsewhere = holding(told(NOW_MS + 10, "a"), told(NOW_MS + 20, "b"), told(None, "b"))
    assert "acme/r-1" in elsewhere

    elsewhere.learn(told(None, "a"), NOW_MS)

    assert "acme/r-1" not in elsewhere


def test_news_of_a_further_attempt_makes_the_wait_longer() -> None:
    elsewhere = holding(told(NOW_MS + 10), told(NOW_MS + 30))

    elsewhere.expire(NOW_MS + 29)
    assert "acme/r-1" in elsewhere
    elsewhere.expire(NOW_MS + 30)
    assert "acme/r-1" not in elsewhere


@pytest.mark.asyncio
@pytest.mark.parametrize("end", ["release", "expire", "learn", "clear"])
async def test_whoever_waits_goes_on_however_it_ends(end: str) -> None:
    elsewhere = holding(told(NOW_MS + 10))
    waiting = asyncio.create_task(elsewhere.over("acme/r-1", LONG_MS))
    await asyncio.wait([waiting], timeout=0.01)
    assert not waiting.done()

    match end:
        case "release":
            elsewhere.release("acme/r-1")
        case "expire":
            elsewhere.expire(NOW_MS + 10)
        case "learn":
            elsewhere.learn(told(None), NOW_MS)
        case _:
            elsewhere.clear()

    async with asyncio.timeout(5):
        await waiting
        await elsewhere.over("acme/r-1", LONG_MS)
    assert len(elsewhere) == 0


@pytest.mark.asyncio
async def test_a_clock_that_is_an_hour_ahead_makes_nobody_wait_longer_than_a_call_may_last() -> None:
    elsewhere = holding(told(NOW_MS + LONG_MS))
    waiting = asyncio.create_task(elsewhere.over("acme/r-1", 20_000))
    await asyncio.wait([waiting], timeout=0.01)

    elsewhere.learn(told(NOW_MS + LONG_MS), NOW_MS + 5_000)
    elsewhere.expire(NOW_MS + 24_999)
    assert "acme/r-1" in elsewhere
    elsewhere.expire(NOW_MS + 25_000)

    async with asyncio.timeout(5):
        await waiting
