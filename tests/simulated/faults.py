"""What breaks in a schedule, and when, drawn from its seed."""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Literal, get_args

from tests.fakes.kafka.host import Host
from tests.simulated.scheduler import Scheduler, Task

Fault = Literal[
    "kill",
    "stop",
    "freeze",
    "freeze long",
    "disconnect",
    "disconnect from coordinator",
    "outage",
    "another worker",
    "compaction",
    "clock jump",
]
BRIEF_MS, LONG_MS = (50, 4_000), (9_000, 40_000)
SMALL_JUMP_MS, JUMP_MS = (1_000, 5_000), (5_000, 120_000)


class Faults:
    """Strikes at most `most` times, each turn with a probability of `rate`. `broken` is told to whom something was
    done, and from when until when, in ms. `jump` sets the wall clock of a process's machine by so many ms.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        rate: float,
        most: int,
        broken: Callable[[Host, int, int], None],
        stop: Callable[[Host], None],
        start: Callable[[], None],
        jump: Callable[[Host, int], None],
    ) -> None:
        self._scheduler = scheduler
        self._random: Random = scheduler.random
        self._rate = rate
        self._left = most
        self._broken = broken
        self._stop = stop
        self._start = start
        self._jump = jump
        self._kinds: tuple[Fault, ...] = get_args(Fault)
        self.happened: Counter[Fault] = Counter()

    def maybe(self) -> None:
        if self._left and self._random.random() < self._rate:
            self._left -= 1
            fault = self._kinds[self._random.randrange(len(self._kinds))]
            self._strike(fault)

    @property
    def are_over(self) -> bool:
        """Nothing breaks any more; what is broken heals in its own time."""
        return not self._left

    def _strike(self, fault: Fault) -> None:
        tasks = [task for task in self._scheduler.tasks if task.host.is_up]
        if fault == "another worker":
            self._start()
        elif not tasks:
            return
        else:
            self._break(fault, tasks[self._random.randrange(len(tasks))])
        self.happened[fault] += 1
        self._scheduler.note(f"=== {fault}")

    def _break(self, fault: Fault, task: Task) -> None:
        host = task.host
        self._scheduler.note(f"=== {fault} {host.name}")
        match fault:
            case "kill":
                self._lasts(host, 0)
                self._scheduler.kill(task)
            case "stop":
                self._stop(host)
            case "freeze" | "freeze long":
                self._freeze(host, BRIEF_MS if fault == "freeze" else LONG_MS)
            case "disconnect":
                self._disconnect(host)
            case "disconnect from coordinator":
                self._disconnect_from_coordinator(host)
            case "outage":
                self._outage(host)
            case "compaction":
                host.cluster.compact()
            case "another worker":
                self._start()
            case "clock jump":
                self._step_clock(host)

    def _lasts(self, host: Host, for_ms: int) -> int:
        self._broken(host, host.timeline.now_ms, host.timeline.now_ms + for_ms)
        return for_ms

    def _step_clock(self, host: Host) -> None:
        """Whoever set it wrong notices: one that stays wrong is none of those that differ by two seconds at most."""
        by_ms = self._random.choice((-1, 1)) * self._random.randint(*self._random.choice((SMALL_JUMP_MS, JUMP_MS)))
        self._scheduler.note(f"=== {by_ms} ms {host.name}")
        self._jump(host, by_ms)
        host.after(self._random.randint(BRIEF_MS[0], LONG_MS[1]), lambda: self._jump(host, -by_ms))

    def _freeze(self, host: Host, between_ms: tuple[int, int]) -> None:
        host.is_frozen = True

        def thaw() -> None:
            host.is_frozen = False
            host.stir()

        host.timeline.after(self._lasts(host, self._random.randint(*between_ms)), thaw)

    def _disconnect(self, host: Host) -> None:
        host.is_connected = False

        def connect() -> None:
            host.is_connected = True
            host.stir()

        host.timeline.after(self._lasts(host, self._random.randint(BRIEF_MS[0], LONG_MS[1])), connect)

    def _disconnect_from_coordinator(self, host: Host) -> None:
        host.is_heard_by_coordinator = False

        def connect() -> None:
            host.is_heard_by_coordinator = True
            host.stir()

        host.timeline.after(self._lasts(host, self._random.randint(BRIEF_MS[0], LONG_MS[1])), connect)

    def _outage(self, host: Host) -> None:
        cluster = host.cluster
        cluster.is_reachable = False

        def back() -> None:
            cluster.is_reachable = True
            for task in self._scheduler.tasks:
                task.host.stir()

        for_ms = self._random.randint(BRIEF_MS[0], LONG_MS[1])
        for each in {task.host.name: task.host for task in self._scheduler.tasks}.values():
            self._lasts(each, for_ms)
        host.timeline.after(for_ms, back)
