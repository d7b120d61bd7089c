"""The events a worker has taken and not finished: each a task in its lane, or waiting for a place there."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from schemas.request import Priority
from streams.invoke.backlog import Backlog, ReadAhead, Taken
from streams.invoke.beside import Aside, Awaited, Awaits, SetBackError
from streams.invoke.lanes import Lanes
from streams.observe.logs import logger

log = logger(__name__)
AT_ONCE = 500
"""So many are begun in one turn of the loop, which takes a tenth of a second: heartbeats wait for no more than that."""
CANCEL_S = 5.0
"""For ending after being cancelled: long enough to write that it has."""


def _one(_tenant: str) -> int:
    return 1


@dataclass(slots=True, eq=False)
class _Begun:
    """`claimed` is what it is expected to wait for, having been set back for that. `stood_for`: what it waited for when
    it last did. `set_back_for`: what it would have been one too many for.
    """

    priority: Priority
    taken: Taken
    assignment: int
    claimed: Awaited | None = None
    stood_for: Awaited | None = None
    set_back_for: Awaited | None = None


class Pool:
    """`failed` hears of whatever ends by an exception. `weight` of a tenant says how many of its requests go in one
    turn; `may_begin` is asked before what waits is given a place that has become free.
    """

    def __init__(
        self,
        lanes: Lanes,
        now_ms: Callable[[], int],
        failed: Callable[[BaseException], None],
        bound: ReadAhead | None = None,
        *,
        weight: Callable[[str], int] = _one,
        may_begin: Callable[[], bool] = lambda: True,
    ) -> None:
        self._lanes = lanes
        self._now_ms = now_ms
        self._failed = failed
        self._backlog = Backlog(bound or ReadAhead(), weight)
        self._may_begin = may_begin
        self._begun: dict[asyncio.Task[bool], _Begun] = {}
        self._waiting: set[asyncio.Task[bool]] = set()
        self._assignment = 0
        self._has_ended = asyncio.Event()

    def __len__(self) -> int:
        return len(self._begun) + len(self._backlog)

    @property
    def oldest_ms(self) -> int | None:
        """Looks at each that is begun."""
        begun_ms = min((begun.taken.taken_ms for begun in self._begun.values()), default=None)
        return min((ms for ms in (begun_ms, self._backlog.oldest_ms) if ms is not None), default=None)

    def waiting(self, priority: Priority) -> int:
        """Those without a place yet, or any more."""
        return self._backlog.count(priority)

    def room(self, priority: Priority) -> int:
        """How many more may be taken: begun at once, or to wait for a place."""
        return self._lanes.room(priority) + self._backlog.room(priority)

    def take(
        self,
        priority: Priority,
        value: bytes,
        do: Callable[[Aside], Coroutine[Any, Any, bool]],
        finished: Callable[[], None],
    ) -> None:
        """`value` is the Dispatch as JSON. With a place free and nobody before it, it is begun at once. `finished` is
        told when `do` returns True.
        """
        taken = Taken(value, do, finished, self._now_ms())
        if self._lanes.room(priority) and not self._backlog.has_turns(priority):
            self._begin(priority, taken)
        else:
            self._backlog.add(priority, taken)

    def end_overdue(self) -> bool:
        """Those whose deadline comes while they wait are told so, place or not: that takes one write and no call. False
        when there are more than should be begun in one turn of the loop.
        """
        overdue = self._backlog.overdue(self._now_ms(), AT_ONCE)
        for priority, taken in overdue:
            self._begin(priority, taken)
        return len(overdue) < AT_ONCE

    def _begin_next(self, priority: Priority) -> None:
        """Gives the places that are free to those whose turn it is."""
        if not self._backlog.count(priority):
            return
        has_room = partial(self._lanes.has_room_beside, priority)
        while self._lanes.room(priority) and self._may_begin() and (taken := self._backlog.take(priority, has_room)):
            begun = self._begin(priority, taken)
            if taken.held_for is not None:
                begun.claimed = taken.held_for
                self._lanes.claim(priority, taken.held_for)
                asyncio.get_running_loop().call_soon(self._look_after, begun)

    def _look_after(self, begun: _Begun) -> None:
        """It has gone as far as it comes without waiting for anything by now. If it did not step aside, the next of
        those who wait for the same may see how things are.
        """
        self._unclaim(begun)
        self._begin_next(begun.priority)

    def _unclaim(self, begun: _Begun) -> None:
        if begun.claimed is not None:
            self._lanes.unclaim(begun.priority, begun.claimed)
            begun.claimed = None

    def _begin(self, priority: Priority, taken: Taken) -> _Begun:
        begun = _Begun(priority, taken, self._assignment)
        self._lanes.enter(priority)
        task = asyncio.get_running_loop().create_task(_ended_lightly(taken.do, partial(self._aside, begun)))
        self._begun[task] = begun
        task.add_done_callback(self._ended)
        return begun

    def _ended(self, done: asyncio.Task[bool]) -> None:
        begun = self._begun.pop(done)
        self._lanes.leave(begun.priority)
        self._has_ended.set()
        problem = None if done.cancelled() else done.exception()
        if isinstance(problem, SetBackError):
            if begun.assignment == self._assignment:
                self._backlog.add(begun.priority, begun.taken, begun.set_back_for)
        elif problem is not None:
            self._failed(problem)
        elif not done.cancelled() and done.result():
            begun.taken.finished()
        self._begin_next(begun.priority)

    @contextmanager
    def _aside(self, begun: _Begun, awaits: Awaits) -> Generator[None]:
        """Around what only waits: it holds no place in its lane, and when its partition is gone it is let go, for it
        can as well wait where the partition went.
        """
        task = cast("asyncio.Task[bool]", asyncio.current_task())
        priority, what = begun.priority, awaits.what
        if awaits.is_new and not self._may_stand(begun, what):
            begun.set_back_for = what
            raise SetBackError
        self._unclaim(begun)
        begun.stood_for = what
        self._lanes.step_aside(priority, what)
        self._waiting.add(task)
        if begun.assignment != self._assignment:
            task.cancel()
        self._begin_next(priority)
        try:
            yield
        finally:
            self._waiting.remove(task)
            self._lanes.come_back(priority, what)
            if self._backlog.count(priority):  # not before it has had the chance to wait on
                asyncio.get_running_loop().call_soon(self._begin_next, priority)

    def _may_stand(self, begun: _Begun, what: Awaited) -> bool:
        """Whoever stood there and has only looked around, or was let in for it, may; with no room to be set back to,
        everybody may.
        """
        priority = begun.priority
        if what in (begun.stood_for, begun.claimed) or begun.assignment != self._assignment:
            return True
        if not self._backlog.room(priority):
            return True
        return not self._backlog.holds(priority, what) and self._lanes.has_room_beside(priority, what)

    async def any_ended(self, within_s: float) -> None:
        """Costs the same however many there are."""
        self._has_ended.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._has_ended.wait()

    def let_go(self, keep: Collection[asyncio.Task[bool]]) -> list[asyncio.Task[bool]]:
        """The partitions are gone: forgets what is not begun, and cancels all but those in `keep` that do not just
        wait. Returns those.
        """
        self._assignment += 1
        self._backlog.clear()
        leaving = [task for task in self._begun if task in self._waiting or task not in keep]
        for task in leaving:
            task.cancel()
        return leaving

    async def finish(self, within_s: float) -> bool:
        """Waits for what is left, then cancels it. False when that does not help within `CANCEL_S`."""
        if self._begun:
            await asyncio.wait(self._begun, timeout=within_s)
        if self._begun:
            log.warning("calls_cancelled", calls=len(self._begun))
        for task in self._begun:
            task.cancel()
        return await ended_within(CANCEL_S, list(self._begun))


async def _ended_lightly(do: Callable[[Aside], Coroutine[Any, Any, bool]], aside: Aside) -> bool:
    """A task keeps what ended it, and that the frames it passed, which know their task: a circle for each call that is
    let go or set back, its prompt included, until the collector of garbage finds it.
    """
    try:
        return await do(aside)
    except (asyncio.CancelledError, SetBackError) as end:
        raise end.with_traceback(None)  # noqa: B904  # it is the same


async def ended_within(seconds: float, tasks: Collection[asyncio.Task[bool]]) -> bool:
    if not tasks:
        return True
    _, left = await asyncio.wait(tasks, timeout=seconds)
    return not left
