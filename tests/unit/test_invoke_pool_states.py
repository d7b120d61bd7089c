"""A pool under any order of arrivals, deaths, recoveries, failures, deadlines and lost partitions."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from typing_extensions import override

from schemas.request import Priority
from streams.invoke.backlog import ReadAhead
from streams.invoke.beside import Aside, Awaits
from streams.invoke.lanes import Lanes
from streams.invoke.pool import Pool
from tests.fakes.turns import turns
from tests.unit.examples import NOW_MS, dispatch, ticket

SIZE = 6
BOUND = 60
DEPLOYMENTS = ("a", "b", "c")
TENANTS = ("acme", "globex")
LANE: Priority = "normal"
QUIET_TURNS = 10
"""Of the loop; in fewer than that one that ends, or stands aside, makes room for the next."""


@dataclass(eq=False)
class Request:
    name: str
    deployment: str
    deadline_ms: int | None
    value: bytes
    runs: int = 0
    is_new: bool = True
    is_beside: bool = False
    is_kept: bool = False
    end: asyncio.Future[bool] | None = None

    def is_overdue(self, now_ms: int) -> bool:
        return self.deadline_ms is not None and self.deadline_ms <= now_ms


@dataclass
class Lives:
    """Wakes whoever stands there at each change."""

    is_alive: bool = True
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def change(self, *, to: bool) -> None:
        self.is_alive = to
        self.look()

    def look(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class Checked(Lanes):
    """Nobody is begun in a lane without room, but whose deadline has come."""

    ends_overdue = False

    @override
    def enter(self, priority: Priority) -> None:
        assert self.ends_overdue or self.room(priority) > 0
        super().enter(priority)


class Pooling(RuleBasedStateMachine):
    """Nobody is lost, begun twice at once or finished twice; whoever could call is not kept from a free place."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now_ms = NOW_MS
        self.problems: list[BaseException] = []
        self.lanes = Checked({"high": 1, "normal": SIZE, "low": 1})
        self.pool = Pool(self.lanes, lambda: self.now_ms, self.problems.append, ReadAhead(requests=BOUND))
        self.lives = {name: Lives() for name in DEPLOYMENTS}
        self.open: dict[str, Request] = {}
        self.number = 0
        self.was_full = False
        self.steps = 0

    @override
    def teardown(self) -> None:
        for lives in self.lives.values():
            self.loop.call_soon(lives.look)
        self.pool.let_go(())
        self._settle()
        assert len(self.pool) == 0
        self.loop.close()

    def _settle(self) -> None:
        async def quieten() -> None:
            seen, quiet = -1, 0
            while quiet < QUIET_TURNS:
                await turns()
                quiet = quiet + 1 if self.steps == seen else 0
                seen = self.steps

        self.loop.run_until_complete(quieten())

    async def _do(self, asked: Request, aside: Aside) -> bool:
        asked.runs += 1
        self.steps += 1
        assert asked.runs == 1, "begun twice at once"
        lives = self.lives[asked.deployment]
        try:
            while True:
                if asked.is_overdue(self.now_ms):
                    return True
                if not lives.is_alive:
                    with aside(Awaits((asked.deployment,), is_new=asked.is_new)):
                        asked.is_beside = True
                        try:
                            await lives.changed.wait()
                        finally:
                            asked.is_beside = False
                    continue
                asked.is_new = False
                asked.end = asyncio.get_running_loop().create_future()
                if await asked.end:
                    return True
                asked.end = None
        except asyncio.CancelledError:
            if asked.is_kept:
                del self.open[asked.name]
            raise
        finally:
            asked.end = None
            asked.runs -= 1

    @rule(
        deployment=st.sampled_from(DEPLOYMENTS),
        tenant=st.sampled_from(TENANTS),
        count=st.integers(1, 2 * SIZE),
        within_ms=st.none() | st.integers(1, 50),
    )
    def some_come(self, deployment: str, tenant: str, count: int, within_ms: int | None) -> None:
        deadline_ms = None if within_ms is None else self.now_ms + within_ms

        async def come() -> None:
            for _ in range(min(count, self.pool.room(LANE))):
                self.number += 1
                name = f"r-{self.number}"
                value = dispatch(ticket_=ticket(name, tenant_id=tenant, deadline_ms=deadline_ms)).encode()
                asked = self.open[name] = Request(name, deployment, deadline_ms, value)
                self.pool.take(
                    LANE,
                    value,
                    lambda aside, asked=asked: self._do(asked, aside),
                    lambda name=name: self._finished(name),
                )

        self.loop.run_until_complete(come())
        self._settle()

    def _finished(self, name: str) -> None:
        del self.open[name]  # raises for one that is finished twice

    @rule(deployment=st.sampled_from(DEPLOYMENTS), is_alive=st.booleans())
    def one_changes(self, deployment: str, is_alive: bool) -> None:
        self.loop.call_soon(lambda: self.lives[deployment].change(to=is_alive))
        self._settle()

    @rule(deployment=st.sampled_from(DEPLOYMENTS))
    def all_look_around(self, deployment: str) -> None:
        there = [asked for asked in self.open.values() if asked.is_beside]
        self.loop.call_soon(self.lives[deployment].look)
        self._settle()
        assert all(asked.is_beside for asked in there if not asked.is_overdue(self.now_ms))

    @precondition(lambda self: any(asked.end for asked in self.open.values()))
    @rule(data=st.data(), is_good=st.booleans())
    def one_ends(self, data: st.DataObject, is_good: bool) -> None:
        calling = sorted(name for name, asked in self.open.items() if asked.end is not None)
        end = self.open[data.draw(st.sampled_from(calling))].end
        assert end is not None
        self.loop.call_soon(end.set_result, is_good)
        self._settle()

    @rule(by_ms=st.integers(1, 60))
    def time_passes(self, by_ms: int) -> None:
        self.now_ms += by_ms

        async def tell() -> None:
            self.lanes.ends_overdue = True
            assert self.pool.end_overdue()
            self.lanes.ends_overdue = False

        self.loop.run_until_complete(tell())
        for lives in self.lives.values():
            self.loop.call_soon(lives.look)
        self._settle()
        assert not [each.name for each in self.open.values() if each.end is None and each.is_overdue(self.now_ms)]

    @rule()
    def partitions_go(self) -> None:
        """Calls under way are kept, and end here, but for one that would have to wait before it is made again."""

        async def go() -> None:
            self.pool.let_go([task for task in asyncio.all_tasks() if task is not asyncio.current_task()])

        gone = [name for name, asked in self.open.items() if asked.end is None]
        self.loop.run_until_complete(go())
        self._settle()
        for name in gone:
            assert self.open.pop(name).runs == 0
        for asked in self.open.values():
            asked.is_kept = True

    @invariant()
    def nobody_is_lost(self) -> None:
        assert not self.problems
        assert len(self.pool) == len(self.open)
        begun = sum(asked.runs for asked in self.open.values())
        assert self.pool.waiting(LANE) == len(self.open) - begun

    @invariant()
    def the_lane_counts_what_is_there(self) -> None:
        asked = self.open.values()
        assert dict(self.lanes.counts())[LANE] == sum(each.runs for each in asked)
        assert self.lanes.calling(LANE) == sum(each.end is not None for each in asked)

    @invariant()
    def whoever_could_call_has_its_place_if_there_is_one(self) -> None:
        beside = Counter(each.deployment for each in self.open.values() if each.is_beside)
        for each in self.open.values():
            if each.runs == 0 and self.lives[each.deployment].is_alive:
                assert self.lanes.room(LANE) == 0, f"{each.name} waits for nothing: {beside}"

    @invariant()
    def the_dead_take_the_lane_from_nobody(self) -> None:
        """As long as there is room to be set back to, and but for those who have attempted something."""
        beside = [each for each in self.open.values() if each.is_beside]
        self.was_full = self.pool.waiting(LANE) >= BOUND or (self.was_full and bool(beside))
        if not self.was_full and all(each.is_new for each in beside):
            new = Counter(each.deployment for each in beside)
            assert all(count <= SIZE // 2 for count in new.values()), new
            assert self.lanes.room(LANE) >= SIZE - self.lanes.calling(LANE)


TestPooling = Pooling.TestCase
TestPooling.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
