"""However many wait for a dead deployment, whoever asks for another one finds its place."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from streams.invoke.backlog import ReadAhead
from streams.invoke.beside import Aside, Awaits
from streams.invoke.lanes import WAITING_PER_PLACE, Lanes
from streams.invoke.pool import AT_ONCE, Pool, ended_within
from tests.fakes.turns import turns
from tests.unit.examples import NOW_MS, dispatch, ticket

SIZE = 8
HALF = SIZE // 2


@dataclass
class Office:
    """A pool, and deployments that are dead until they are told to live; then a call lasts until it is told to end."""

    bound: ReadAhead = field(default_factory=ReadAhead)
    now_ms: int = NOW_MS
    looked: list[str] = field(default_factory=list[str])
    called: list[str] = field(default_factory=list[str])
    expired: list[str] = field(default_factory=list[str])
    finished: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.lives: dict[str, asyncio.Event] = {}
        self.ends: dict[str, asyncio.Event] = {}
        self.lanes = Lanes({"high": SIZE, "normal": SIZE, "low": SIZE})
        self.pool = Pool(self.lanes, lambda: self.now_ms, self._failed, self.bound)

    def _failed(self, problem: BaseException) -> None:
        raise AssertionError from problem

    def take(
        self,
        name: str,
        deployment: str = "dead",
        *,
        tenant: str = "acme",
        is_new: bool = True,
        deadline_ms: int | None = None,
    ) -> None:
        asked = dispatch(ticket_=ticket(name, tenant_id=tenant, deadline_ms=deadline_ms))
        lives = self.lives.setdefault(deployment, asyncio.Event())

        async def do(aside: Aside) -> bool:
            self.looked.append(name)
            while not lives.is_set():
                if deadline_ms is not None and deadline_ms <= self.now_ms:
                    self.expired.append(name)
                    return True
                with aside(Awaits((deployment,), is_new=is_new)):
                    await lives.wait()
            self.called.append(name)
            await self.ends.setdefault(name, asyncio.Event()).wait()
            return True

        self.pool.take("normal", asked.encode(), do, lambda: self.finished.append(name))

    def take_all(self, names: Iterable[str], deployment: str = "dead", *, tenant: str = "acme") -> None:
        for name in names:
            self.take(name, deployment, tenant=tenant)

    async def live(self, deployment: str) -> None:
        self.lives[deployment].set()
        await self.settle()

    async def end(self, name: str) -> None:
        self.ends[name].set()
        await self.settle()

    async def settle(self) -> None:
        await turns(20)

    @property
    def beside(self) -> int:
        return dict(self.lanes.counts())["normal"] - self.lanes.calling("normal")


@pytest_asyncio.fixture
async def offices() -> AsyncIterator[Callable[..., Office]]:
    opened: list[Office] = []

    def open_(bound: ReadAhead | None = None) -> Office:
        opened.append(Office(bound or ReadAhead()))
        opened[-1].lives["well"] = asyncio.Event()
        opened[-1].lives["well"].set()
        return opened[-1]

    yield open_
    for office in opened:
        await ended_within(5, office.pool.let_go(()))


def named(name: str, count: int) -> list[str]:
    return [f"{name}-{number}" for number in range(count)]


@pytest.mark.asyncio
async def test_many_times_the_lanes_size_that_wait_for_a_dead_deployment_leave_all_places_to_others(
    offices: Callable[..., Office],
) -> None:
    office = offices()
    office.take_all(named("d", 10 * SIZE))
    await office.settle()

    office.take_all(named("w", SIZE), "well")
    await office.settle()

    assert office.called == named("w", SIZE)
    assert office.beside == HALF
    assert office.pool.waiting("normal") == 10 * SIZE - HALF


@pytest.mark.asyncio
async def test_with_as_many_deployments_dead_as_a_lane_has_places_all_places_are_left(
    offices: Callable[..., Office],
) -> None:
    office = offices()
    for dead in named("dead", SIZE):
        office.take_all(named(dead, 3 * SIZE), dead)
        await office.settle()

    office.take_all(named("w", SIZE), "well")
    await office.settle()

    assert office.called == named("w", SIZE)
    assert office.beside <= SIZE * WAITING_PER_PLACE


@pytest.mark.asyncio
async def test_one_that_was_set_back_takes_the_place_of_one_that_goes_and_none_looks_twice_in_vain(
    offices: Callable[..., Office],
) -> None:
    office = offices()
    office.take("late", deadline_ms=NOW_MS + 10)
    office.take_all(named("d", 3 * SIZE))
    await office.settle()
    assert len(office.looked) == 3 * SIZE + 1

    office.now_ms += 10
    office.lives["dead"].set()
    office.lives["dead"].clear()  # all that stand there look around, and one of them has gone
    await office.settle()

    assert office.expired == ["late"]
    assert len(office.looked) == 3 * SIZE + 2
    assert office.looked[-1] == f"d-{HALF - 1}"
    assert office.beside == HALF


@pytest.mark.asyncio
async def test_when_a_deployment_recovers_its_tenants_take_turns_and_each_ones_go_in_order(
    offices: Callable[..., Office],
) -> None:
    office = offices()
    flood, trickle = named("flood", 6 * SIZE), named("acme", 3)
    office.take_all(flood, tenant="flood")
    office.take_all(trickle)
    await office.settle()

    await office.live("dead")
    for name in office.called:  # grows meanwhile
        await office.end(name)

    assert [name for name in office.called if name in flood] == flood
    assert [name for name in office.called if name in trickle] == trickle
    assert max(office.called.index(name) for name in trickle) <= 2 * SIZE
    assert sorted(office.finished) == sorted(flood + trickle)


@pytest.mark.asyncio
async def test_the_backlog_of_a_deployment_that_recovers_leaves_every_other_place_to_the_turns(
    offices: Callable[..., Office],
) -> None:
    office = offices()
    office.take_all(named("d", 10 * SIZE))
    await office.settle()
    await office.live("dead")
    office.take_all(named("w", 4), "well")

    for number in range(8):
        await office.end(f"d-{number}")

    assert [name for name in office.called if name.startswith("w")] == named("w", 4)


@pytest.mark.asyncio
async def test_who_comes_for_a_deployment_does_not_overtake_who_was_set_back_for_it(
    offices: Callable[..., Office],
) -> None:
    office = offices()
    office.take_all(named("d", HALF + 1))
    await office.settle()

    office.lives["dead"].set()
    office.lives["dead"].clear()
    office.take("new")
    await office.settle()
    await office.live("dead")

    assert office.called == [*named("d", HALF + 1), "new"]


@pytest.mark.asyncio
async def test_who_has_attempted_something_is_not_set_back(offices: Callable[..., Office]) -> None:
    office = offices()
    for name in named("tried", SIZE):
        office.take(name, is_new=False)
    await office.settle()

    assert office.beside == SIZE
    assert office.pool.waiting("normal") == 0


@pytest.mark.asyncio
async def test_who_was_set_back_is_told_when_its_deadline_comes(offices: Callable[..., Office]) -> None:
    office = offices()
    office.take_all(named("d", HALF))
    for name, after_ms in (("late", 10), ("later", 20)):
        office.take(name, deadline_ms=NOW_MS + after_ms)
    await office.settle()
    assert office.pool.waiting("normal") == 2

    for at_ms, expected in ((9, []), (10, ["late"]), (19, ["late"]), (20, ["late", "later"])):
        office.now_ms = NOW_MS + at_ms
        assert office.pool.end_overdue()
        await office.settle()
        assert office.expired == office.finished == expected
    assert len(office.pool) == HALF


@pytest.mark.asyncio
async def test_who_was_set_back_is_forgotten_when_its_partition_is_gone(offices: Callable[..., Office]) -> None:
    office = offices()
    office.take_all(named("d", 3 * SIZE))
    await office.settle()

    await asyncio.wait(office.pool.let_go(()))
    await office.live("dead")

    assert (office.called, office.finished, len(office.pool)) == ([], [], 0)


@pytest.mark.asyncio
async def test_who_is_set_back_just_when_its_partition_goes_is_forgotten_too(offices: Callable[..., Office]) -> None:
    office = offices()
    office.take_all(named("d", HALF + 1))
    await turns()  # the last has raised, and is not back yet
    office.pool.let_go(())
    await office.settle()

    assert len(office.pool) == 0


@pytest.mark.asyncio
async def test_who_was_set_back_counts_in_what_is_read_ahead_and_in_what_is_the_oldest(
    offices: Callable[..., Office],
) -> None:
    office = offices(ReadAhead(requests=20))
    office.take_all(named("d", HALF))
    await office.settle()
    office.now_ms += 100
    held_ms = office.now_ms
    office.take_all(named("held", 15))
    await office.settle()

    assert office.pool.room("normal") == SIZE + 20 - 15
    assert office.pool.oldest_ms == NOW_MS
    assert len(office.pool) == HALF + 15
    await asyncio.wait([*office.pool.let_go(())])
    office.take_all(named("e", 1))
    assert office.pool.oldest_ms == held_ms


@pytest.mark.asyncio
async def test_with_no_room_to_be_set_back_to_one_stands_beside_and_no_more_than_that_is_read(
    offices: Callable[..., Office],
) -> None:
    office = offices(ReadAhead(requests=10))
    number = 0
    while office.pool.room("normal"):
        office.take(f"d-{number}")
        await office.settle()
        number += 1

    assert office.pool.waiting("normal") == 10
    assert office.beside == SIZE * (1 + WAITING_PER_PLACE)


@pytest.mark.asyncio
async def test_a_lane_that_is_set_back_to_the_last_goes_on_by_itself(offices: Callable[..., Office]) -> None:
    office = offices()
    everything = named("d", 5 * SIZE)
    office.take_all(everything)
    await office.settle()

    await office.live("dead")
    for name in everything:
        office.ends.setdefault(name, asyncio.Event()).set()
    for _ in range(5):
        await office.settle()

    assert sorted(office.finished) == sorted(everything)
    assert (len(office.pool), office.pool.room("normal")) == (0, SIZE + ReadAhead().requests)


@pytest.mark.asyncio
async def test_thousands_that_expire_at_once_are_told_some_hundred_in_one_turn_of_the_loop(
    offices: Callable[..., Office],
) -> None:
    office = offices()
    office.take_all(named("w", SIZE), "well")
    count = 2 * AT_ONCE + SIZE
    for name in named("late", count):
        office.take(name, "dead", deadline_ms=NOW_MS + 1)
    office.now_ms += 1

    told: list[tuple[bool, int]] = []
    for _ in range(3):
        are_all = office.pool.end_overdue()
        await office.settle()
        told.append((are_all, len(office.expired)))

    assert told == [(False, AT_ONCE), (False, 2 * AT_ONCE), (True, count)]
