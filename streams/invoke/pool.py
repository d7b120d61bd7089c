"""The events a worker has taken and not finished: each a task in its lane, or waiting for a place there."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Generator
from contextlib import contextmanager, suppress
from typing import Any, cast

from schemas.request import Priority
from streams.invoke.backlog import Backlog, ReadAhead
from streams.invoke.caller import Aside
from streams.invoke.lanes import Lanes
from streams.observe.logs import logger

log = logger(__name__)
CANCEL_S = 5.0
"""For ending after being cancelled: long enough to write that it has."""


def _one(_tenant: str) -> int:
    return 1


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
        self._taken_ms: dict[asyncio.Task[bool], int] = {}
        self._waiting: set[asyncio.Task[bool]] = set()
        self._assignment = 0
        self._has_ended = asyncio.Event()

    def __len__(self) -> int:
        return len(self._taken_ms) + len(self._backlog)

    @property
    def oldest_ms(self) -> int | None:
        begun_ms = next(iter(self._taken_ms.values()), None)
        return min((ms for ms in (begun_ms, self._backlog.oldest_ms) if ms is not None), default=None)

    def waiting(self, priority: Priority) -> int:
        """Those without a place yet."""
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
        """`value` is the Dispatch as JSON. With a place free and nobody before it, it is begun at once."""
        if self._lanes.room(priority) and not self._backlog.count(priority):
            self.start(priority, do, finished)
        else:
            self._backlog.add(priority, value, do, finished, self._now_ms())

    def end_overdue(self) -> None:
        """Those whose deadline comes while they wait are told so, place or not: that takes one write and no call."""
        for priority, waiting in self._backlog.overdue(self._now_ms()):
            self.start(priority, waiting.do, waiting.finished)

    def _begin_next(self, priority: Priority) -> None:
        """Gives the places that are free to those whose turn it is."""
        if not self._backlog.count(priority):
            return
        while self._lanes.room(priority) and self._may_begin() and (waiting := self._backlog.take(priority)):
            self.start(priority, waiting.do, waiting.finished)

    def start(
        self, priority: Priority, do: Callable[[Aside], Coroutine[Any, Any, bool]], finished: Callable[[], None]
    ) -> None:
        """`finished` is told when `do` returns True."""
        assignment = self._assignment
        self._lanes.enter(priority)
        task = asyncio.get_running_loop().create_task(_ended_lightly(do, lambda: self._aside(priority, assignment)))
        self._taken_ms[task] = self._now_ms()

        def ended(done: asyncio.Task[bool]) -> None:
            del self._taken_ms[done]
            self._lanes.leave(priority)
            self._has_ended.set()
            problem = None if done.cancelled() else done.exception()
            if problem is not None:
                self._failed(problem)
            elif not done.cancelled() and done.result():
                finished()
            self._begin_next(priority)

        task.add_done_callback(ended)

    @contextmanager
    def _aside(self, priority: Priority, assignment: int) -> Generator[None]:
        """Around what only waits: it holds no place in its lane, and when its partition is gone it is let go, for it
        can as well wait where the partition went.
        """
        task = cast("asyncio.Task[bool]", asyncio.current_task())
        self._lanes.step_aside(priority)
        self._waiting.add(task)
        if assignment != self._assignment:
            task.cancel()
        self._begin_next(priority)
        try:
            yield
        finally:
            self._waiting.remove(task)
            self._lanes.come_back(priority)

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
        leaving = [task for task in self._taken_ms if task in self._waiting or task not in keep]
        for task in leaving:
            task.cancel()
        return leaving

    async def finish(self, within_s: float) -> bool:
        """Waits for what is left, then cancels it. False when that does not help within `CANCEL_S`."""
        if self._taken_ms:
            await asyncio.wait(self._taken_ms, timeout=within_s)
        if self._taken_ms:
            log.warning("calls_cancelled", calls=len(self._taken_ms))
        for task in self._taken_ms:
            task.cancel()
        return await ended_within(CANCEL_S, list(self._taken_ms))


async def _ended_lightly(do: Callable[[Aside], Coroutine[Any, Any, bool]], aside: Aside) -> bool:
    """A cancelled task keeps what it was cancelled with, and that the frames it passed, which know their task: a circle
    for each call that is let go, its prompt included, until the collector of garbage finds it.
    """
    try:
        return await do(aside)
    except asyncio.CancelledError as end:
        raise end.with_traceback(None)  # noqa: B904  # it is the same


async def ended_within(seconds: float, tasks: Collection[asyncio.Task[bool]]) -> bool:
    if not tasks:
        return True
    _, left = await asyncio.wait(tasks, timeout=seconds)
    return not left
