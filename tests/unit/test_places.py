"""Who waits for a place is let in when it is free, and counts for as long as it waits."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from streams.gcra import Rate
from streams.invoke.allowance import Hold, Terms
from streams.invoke.places import Places
from tests.fakes.turns import turns
from tests.unit.examples import NOW_MS

NAME = "openai-1"


@dataclass
class Office:
    """Time passes by `tick_ms` whenever somebody asks for it, and while somebody sleeps."""

    terms: Terms
    tick_ms: int = 0
    now_ms: int = NOW_MS
    is_shut: bool = False
    waiting: list[asyncio.Task[Hold | None]] = field(default_factory=list[Any])

    def __post_init__(self) -> None:
        self.places = Places(lambda _name: self.terms, lambda _name: self.is_shut, self._ask_ms, self._sleep_s)

    def _ask_ms(self) -> int:
        self.now_ms += self.tick_ms
        return self.now_ms

    async def _sleep_s(self, seconds: float) -> None:
        await turns()
        self.now_ms += max(round(seconds * 1_000) - 2 * self.tick_ms, 0)

    def take_at_once(self, tokens: int = 1) -> Hold:
        hold = self.places.take_at_once(NAME, tokens)
        assert hold is not None
        return hold

    async def wait(self, tokens: int = 1) -> asyncio.Task[Hold | None]:
        self.waiting.append(asyncio.create_task(self.places.take(NAME, "normal", tokens)))
        await turns(3)
        return self.waiting[-1]

    @property
    def wait_ms(self) -> int:
        """How long one that comes now would wait."""
        return self.places.foresee(NAME, 1).wait_ms


@pytest_asyncio.fixture
async def office() -> AsyncIterator[Office]:
    office = Office(Terms(1))
    yield office
    for task in office.waiting:
        task.cancel()
    await asyncio.gather(*office.waiting, return_exceptions=True)


async def given(task: asyncio.Task[Hold | None]) -> Hold | None:
    async with asyncio.timeout(5):
        return await task


@pytest.mark.asyncio
@pytest.mark.parametrize("units", range(40, 60))
async def test_nobody_misses_the_moment_at_which_its_time_has_come(office: Office, units: int) -> None:
    office.terms = Terms(10, requests=Rate(units=units, burst=1, period_us=1_000_000))
    office.take_at_once()
    office.tick_ms = 1

    for _ in range(20):
        hold = await given(await office.wait())
        assert hold is not None
        office.places.give_back(NAME, hold, None)


@pytest.mark.asyncio
async def test_who_has_gone_from_the_middle_of_a_line_is_waited_for_by_nobody(office: Office) -> None:
    office.take_at_once()
    first, second, third = [await office.wait() for _ in range(3)]
    before_ms = office.wait_ms

    second.cancel()
    await asyncio.wait([second])

    assert (before_ms, office.wait_ms) == (4_000, 3_000)
    first.cancel()
    third.cancel()
    await asyncio.wait([first, third])
    assert office.wait_ms == 1_000


@pytest.mark.asyncio
async def test_thousands_that_come_and_go_behind_a_hung_call_leave_nothing_in_the_line(office: Office) -> None:
    held = office.take_at_once()
    stays = await office.wait()

    for _ in range(20):
        gone = [await office.wait() for _ in range(100)]
        for each in gone:
            each.cancel()
        await asyncio.wait(gone)

    assert len(office.places._lines[NAME]) < 100  # pyright: ignore[reportPrivateUsage]  # memory alone tells
    office.places.give_back(NAME, held, None)
    assert (await given(stays)) is not None
    assert not office.places._lines  # pyright: ignore[reportPrivateUsage]  # as above


@pytest.mark.asyncio
async def test_who_came_after_a_larger_one_that_has_gone_goes_at_once(office: Office) -> None:
    office.terms = Terms(10, tokens=Rate(units=1_000, burst=1_000))
    office.take_at_once(900)
    large, small = await office.wait(1_000), await office.wait(50)
    assert not small.done()

    large.cancel()

    assert (await given(small)) is not None
    assert office.now_ms < NOW_MS + 1_000


@pytest.mark.asyncio
async def test_a_breaker_that_opens_while_a_call_hangs_is_heard_of_by_all_who_queue_behind_it(office: Office) -> None:
    office.take_at_once()
    waiting = [await office.wait() for _ in range(3)]

    office.is_shut = True

    assert [await given(task) for task in waiting] == [None] * 3


@pytest.mark.asyncio
async def test_a_limit_that_is_raised_while_a_call_hangs_lets_in_who_queues_behind_it(office: Office) -> None:
    office.take_at_once()
    first, second = await office.wait(), await office.wait()

    office.terms = Terms(2)

    assert (await given(first)) is not None
    assert not second.done()
