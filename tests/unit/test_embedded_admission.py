"""Who works now, who waits, who is sent away."""

import asyncio
from collections.abc import Generator

import pytest

from sinks.embedded.admission import BodyBudget, Lane
from sinks.embedded.errors import ClickHouseError


class Visitor:
    """Takes a place in a lane and keeps it until told to go."""

    def __init__(self, lane: Lane, arrivals: list[str], name: str) -> None:
        self.leave = asyncio.Event()
        self.task = asyncio.ensure_future(self._visit(lane, arrivals, name))

    async def _visit(self, lane: Lane, arrivals: list[str], name: str) -> None:
        async with lane.place():
            arrivals.append(name)
            await self.leave.wait()


class _Turn:
    """Awaited, it lets every other task that can go on do so once."""

    def __await__(self) -> Generator[None]:
        yield


async def settled() -> None:
    for _ in range(10):
        await _Turn()


@pytest.mark.asyncio
async def test_those_who_wait_enter_in_the_order_they_came() -> None:
    arrivals: list[str] = []
    lane = Lane(places=1, waiting=5, wait_s=60)
    first, second, third = (Visitor(lane, arrivals, name) for name in ("first", "second", "third"))
    await settled()
    assert arrivals == ["first"]
    first.leave.set()
    await settled()
    assert arrivals == ["first", "second"]
    second.leave.set()
    third.leave.set()
    await asyncio.gather(first.task, second.task, third.task)
    assert arrivals == ["first", "second", "third"]


@pytest.mark.asyncio
async def test_one_too_many_is_sent_away_at_once_with_a_number() -> None:
    arrivals: list[str] = []
    lane = Lane(places=1, waiting=1, wait_s=60)
    visitors = [Visitor(lane, arrivals, name) for name in ("in", "waiting")]
    await settled()
    with pytest.raises(ClickHouseError, match="Maximum: 1, and 1 wait already") as refused:
        async with lane.place():
            pytest.fail("there was no place")
    assert refused.value.name == "TOO_MANY_SIMULTANEOUS_QUERIES"
    for visitor in visitors:
        visitor.leave.set()
    await asyncio.gather(*(visitor.task for visitor in visitors))


@pytest.mark.asyncio
async def test_a_wait_that_is_too_long_ends_with_a_refusal_and_takes_no_place() -> None:
    lane = Lane(places=1, waiting=5, wait_s=0.01)
    inside = Visitor(lane, [], "inside")
    await settled()
    with pytest.raises(ClickHouseError, match=r"waited 0\.01 s"):
        async with lane.place():
            pytest.fail("there was no place")
    inside.leave.set()
    await inside.task
    async with lane.place():
        pass


@pytest.mark.asyncio
async def test_a_place_is_free_again_after_a_failure_inside() -> None:
    lane = Lane(places=1, waiting=1, wait_s=1)
    with pytest.raises(ZeroDivisionError):
        async with lane.place():
            raise ZeroDivisionError
    async with lane.place():
        pass


def test_a_body_takes_no_more_than_its_own_share() -> None:
    with BodyBudget(one=10, together=100).holder() as share:
        share.take(10)
        with pytest.raises(ClickHouseError) as refused:
            share.take(1)
        assert refused.value.name == "QUERY_IS_TOO_LARGE"


def test_all_bodies_together_stay_within_their_memory_and_give_it_back() -> None:
    budget = BodyBudget(one=10, together=15)
    with budget.holder() as first, budget.holder() as second:
        first.take(10)
        with pytest.raises(ClickHouseError) as refused:
            second.take(10)
        assert refused.value.name == "MEMORY_LIMIT_EXCEEDED"
    with budget.holder() as again:
        again.take(10)
