"""The events a worker has taken and not finished, each a task in its lane."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Generator
from contextlib import contextmanager, suppress
from typing import Any, cast

from schemas.request import Priority
from streams.invoke.caller import Aside
from streams.invoke.lanes import Lanes
from streams.observe.logs import logger

log = logger(__name__)
CANCEL_S = 5.0
"""For ending after being cancelled: long enough to write that it has."""


class Pool:
    """`failed` hears of whatever ends by an exception."""

    def __init__(self, lanes: Lanes, now_ms: Callable[[], int], failed: Callable[[BaseException], None]) -> None:
        self._lanes = lanes
        self._now_ms = now_ms
        self._failed = failed
        self._taken_ms: dict[asyncio.Task[bool], int] = {}
        self._waiting: set[asyncio.Task[bool]] = set()
        self._assignment = 0
        self._has_ended = asyncio.Event()

    def __len__(self) -> int:
        return len(self._taken_ms)

    @property
    def oldest_ms(self) -> int | None:
        return next(iter(self._taken_ms.values()), None)

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
            if done.cancelled():
                return
            problem = done.exception()
            if problem is not None:
                self._failed(problem)
            elif done.result():
                finished()

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
        """The partitions are gone: cancels all but those in `keep` that do not just wait. Returns those."""
        self._assignment += 1
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
