"""Who goes on next, decided by the seed. Every worker runs in a greenlet and stops at each call of its clients."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from greenlet import getcurrent, greenlet

from tests.fakes.kafka.conditions import Mishap
from tests.fakes.kafka.host import Gone, Host
from tests.fakes.kafka.timeline import Timeline

DAWDLE_MS = 500
"""For so long at once a process that could go on may not; more would be a freeze."""


@dataclass(slots=True)
class Task:
    """`wakes_at_ms`: None when it is not waiting. `failure`: what ended it, None when it ended well or has not."""

    host: Host
    thread: greenlet
    wakes_at_ms: int | None = None
    failure: BaseException | None = None

    @property
    def has_ended(self) -> bool:
        return self.thread.dead

    def can_go_on(self, now_ms: int) -> bool:
        if self.host.is_frozen or self.has_ended:
            return False
        return self.wakes_at_ms is None or self.host.is_stirred or now_ms >= self.wakes_at_ms


@dataclass(frozen=True, slots=True)
class Temper:
    """How rough a schedule is. `mishaps` are probabilities; `slow`: of a journey over the network to take seconds."""

    mishaps: dict[Mishap, float]
    slow: float
    dawdle: float


@dataclass(slots=True)
class Scheduler:
    """The conditions of its cluster, too: both draw from the one source of chance."""

    timeline: Timeline
    random: Random
    temper: Temper
    tasks: list[Task] = field(default_factory=list[Task])
    steps: int = 0
    trace: list[str] | None = None
    _current: Task | None = None

    def start(self, host: Host, body: Callable[[], None]) -> Task:
        def run() -> None:
            try:
                body()
            except Gone:
                pass
            except BaseException as failure:  # noqa: BLE001  # a worker may end in many ways; the schedule judges them
                task.failure = failure
            self.note(f"ended {task.failure!r}" if task.failure else "ended")

        task = Task(host, greenlet(run))
        self.tasks.append(task)
        return task

    def kill(self, task: Task) -> None:
        """It never returns from the call it is in."""
        task.host.end()
        if task.thread:
            self._resume(task)
        elif not task.has_ended:
            self.tasks.remove(task)

    def turn(self) -> None:
        """One task goes as far as its next call, or time passes."""
        now_ms = self.timeline.now_ms
        ready = [task for task in self.tasks if task.can_go_on(now_ms)]
        if ready and self.random.random() >= self.temper.dawdle:
            self._resume(ready[self.random.randrange(len(ready))])
            if self.random.random() < 0.5:
                self.timeline.advance(self.timeline.now_ms + self.random.randrange(3))
        else:
            self._pass_time(DAWDLE_MS if ready else None)
        self.tasks = [task for task in self.tasks if not task.has_ended]

    def _pass_time(self, most_ms: int | None) -> None:
        """Until something is due, or somebody has waited long enough."""
        due = [task.wakes_at_ms for task in self.tasks if task.wakes_at_ms is not None and not task.host.is_frozen]
        due += [] if self.timeline.next_ms is None else [self.timeline.next_ms]
        until_ms = max(min(due, default=0), self.timeline.now_ms + 1)
        self.timeline.advance(until_ms if most_ms is None else min(until_ms, self.timeline.now_ms + most_ms))

    def _resume(self, task: Task) -> None:
        task.host.is_stirred = False
        task.wakes_at_ms = None
        self._current = task
        self.steps += 1
        task.thread.switch()
        self._current = None

    def note(self, what: str) -> None:
        if self.trace is not None:
            name = "-" if self._current is None else self._current.host.name
            self.trace.append(f"{self.timeline.now_ms % 10_000_000:>8} {name:<8} {what}")

    def step(self, call: str) -> None:
        self.note(call)
        self._yield()

    def wait(self, until_ms: int) -> None:
        if self._current is not None:
            self._current.wakes_at_ms = until_ms
        self._yield()

    def _yield(self) -> None:
        hub = getcurrent().parent
        if hub is None:
            raise RuntimeError("a client was called outside a task: what happens by itself must not wait")
        # asyncio knows one running loop for each thread; here each greenlet may have one
        running = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            hub.switch()
        finally:
            asyncio._set_running_loop(running)

    def latency_ms(self) -> int:
        if self.random.random() < self.temper.slow:
            return self.random.randrange(20, 3_000)
        return self.random.randrange(4)

    def up_to(self, most: int) -> int:
        return self.random.randint(0, most)

    def happens(self, mishap: Mishap) -> bool:
        return self.random.random() < self.temper.mishaps[mishap]
