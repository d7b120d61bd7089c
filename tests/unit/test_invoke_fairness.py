"""Who gets a place that becomes free: lanes keep theirs, tenants take turns, and a deadline needs none."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from schemas.request import Priority
from streams.invoke.backlog import OVERHEAD_BYTES, ReadAhead
from streams.invoke.beside import Aside
from streams.invoke.lanes import Lanes
from streams.invoke.pool import Pool, ended_within
from tests.fakes.turns import turns
from tests.unit.examples import NOW_MS, dispatch, ticket


@dataclass
class Office:
    """A pool with one place in each lane, and calls that end when they are told to."""

    bound: ReadAhead = field(default_factory=ReadAhead)
    weight: Callable[[str], int] = lambda _tenant: 1
    may_begin: bool = True
    now_ms: int = NOW_MS
    begun: list[str] = field(default_factory=list[str])
    finished: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.gates: dict[str, asyncio.Event] = {}
        self.pool = Pool(
            Lanes({"high": 1, "normal": 1, "low": 1}),
            lambda: self.now_ms,
            self._failed,
            self.bound,
            weight=self.weight,
            may_begin=lambda: self.may_begin,
        )

    def _failed(self, problem: BaseException) -> None:
        raise AssertionError from problem

    def take(
        self, name: str, *, tenant: str = "acme", lane: Priority = "normal", deadline_ms: int | None = None
    ) -> None:
        asked = dispatch(ticket_=ticket(name, tenant_id=tenant, deadline_ms=deadline_ms))

        async def do(_aside: Aside) -> bool:
            self.begun.append(name)
            self.gates[name] = asyncio.Event()
            await self.gates[name].wait()
            return True

        self.pool.take(lane, asked.encode(), do, lambda: self.finished.append(name))

    async def settle(self) -> None:
        await turns(5)

    async def close(self) -> None:
        """What still calls is let go."""
        self.may_begin = False
        await ended_within(5, self.pool.let_go(()))

    async def end(self, name: str) -> None:
        self.gates[name].set()
        await self.settle()


@pytest_asyncio.fixture
async def offices() -> AsyncIterator[Callable[..., Office]]:
    opened: list[Office] = []

    def open_(*args: Any, **facts: Any) -> Office:
        opened.append(Office(*args, **facts))
        return opened[-1]

    yield open_
    for office in opened:
        await office.close()


@pytest.mark.asyncio
async def test_behind_one_tenants_flood_the_next_place_is_another_tenants(offices: Callable[..., Office]) -> None:
    office = offices()
    for number in range(50):
        office.take(f"flood-{number}", tenant="flood")
    office.take("acme-0")
    await office.settle()
    assert office.begun == ["flood-0"]

    await office.end("flood-0")
    await office.end(office.begun[-1])

    assert office.begun[:3] == ["flood-0", "flood-1", "acme-0"]
    await office.end("acme-0")
    assert office.begun[3:] == ["flood-2"]


@pytest.mark.asyncio
async def test_a_place_goes_to_who_waits_before_it_goes_to_who_comes(offices: Callable[..., Office]) -> None:
    office = offices()
    for name in ("calls", "waits"):
        office.take(name)
    await office.settle()

    office.gates["calls"].set()
    office.take("comes")
    await office.settle()

    assert office.begun == ["calls", "waits"]


@pytest.mark.asyncio
async def test_a_flood_of_the_urgent_leaves_the_low_lane_its_places(offices: Callable[..., Office]) -> None:
    office = offices()
    for number in range(200):
        office.take(f"urgent-{number}", lane="high")

    office.take("low-0", lane="low")
    await office.settle()

    assert office.begun == ["urgent-0", "low-0"]
    assert (office.pool.waiting("high"), office.pool.waiting("low")) == (199, 0)


@pytest.mark.asyncio
async def test_whose_deadline_comes_while_it_waits_is_ended_without_a_place(offices: Callable[..., Office]) -> None:
    office = offices()
    for name, deadline_ms in (("calls", None), ("waits", None), ("late", NOW_MS + 10), ("later", NOW_MS + 20)):
        office.take(name, deadline_ms=deadline_ms)
    await office.settle()

    for at_ms, expected in ((9, []), (10, ["late"]), (19, ["late"]), (20, ["late", "later"])):
        office.now_ms = NOW_MS + at_ms
        office.pool.end_overdue()
        await office.settle()
        assert office.begun == ["calls", *expected]
    assert office.pool.waiting("normal") == 1


@pytest.mark.asyncio
async def test_what_is_not_begun_is_forgotten_when_its_partition_is_gone(offices: Callable[..., Office]) -> None:
    office = offices()
    for name in ("calls", "waits", "waits-too"):
        office.take(name)
    await office.settle()
    assert len(office.pool) == 3

    office.may_begin = False
    await asyncio.wait(office.pool.let_go(()))

    assert (office.begun, office.finished, len(office.pool)) == (["calls"], [], 0)


@pytest.mark.asyncio
async def test_nothing_is_begun_by_a_worker_that_may_have_lost_its_partitions(offices: Callable[..., Office]) -> None:
    office = offices()
    for name in ("calls", "waits"):
        office.take(name)
    await office.settle()

    office.may_begin = False
    await office.end("calls")

    assert office.begun == ["calls"]
    assert office.finished == ["calls"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "bound", [ReadAhead(requests=3), ReadAhead(bytes=3 * OVERHEAD_BYTES)], ids=["requests", "bytes"]
)
async def test_a_lane_reads_no_further_ahead_than_it_may(bound: ReadAhead, offices: Callable[..., Office]) -> None:
    office = offices(bound)
    number = 0
    while office.pool.room("normal"):
        office.take(f"r-{number}")
        number += 1

    assert 2 <= office.pool.waiting("normal") <= 3
    assert office.pool.room("high") > 0
    await office.settle()
    await office.end("r-0")
    assert office.pool.room("normal") > 0
