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
]
FAULTS: tuple[Fault, ...] = get_args(Fault)
HARD: frozenset[Fault] = frozenset({"kill", "freeze long", "disconnect", "disconnect from coordinator"})
BRIEF_MS, LONG_MS = (50, 4_000), (9_000, 40_000)


class Faults:
    """Strikes at most `most` times, each turn with a probability of `rate`. `struck` collects the names of those it did
    more to than every process has to bear.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        rate: float,
        most: int,
        struck: set[str],
        stop: Callable[[Host], None],
        start: Callable[[], None],
    ) -> None:
        self._scheduler = scheduler
        self._random: Random = scheduler.random
        self._rate = rate
        self._left = most
        self._struck = struck
        self._stop = stop
        self._start = start
        self.happened: Counter[Fault] = Counter()

    def maybe(self) -> None:
        if self._left and self._random.random() < self._rate:
            self._left -= 1
            fault = FAULTS[self._random.randrange(len(FAULTS))]
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
        if fault in HARD:
            self._struck.add(host.name)
        self._scheduler.note(f"=== {fault} {host.name}")
        match fault:
            case "kill":
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

    def _freeze(self, host: Host, between_ms: tuple[int, int]) -> None:
        host.is_frozen = True

        def thaw() -> None:
            host.is_frozen = False
            host.stir()

        host.timeline.after(self._random.randint(*between_ms), thaw)

    def _disconnect(self, host: Host) -> None:
        host.is_connected = False

        def connect() -> None:
            host.is_connected = True
            host.stir()

        host.timeline.after(self._random.randint(BRIEF_MS[0], LONG_MS[1]), connect)

    def _disconnect_from_coordinator(self, host: Host) -> None:
        host.is_heard_by_coordinator = False

        def connect() -> None:
            host.is_heard_by_coordinator = True
            host.stir()

        host.timeline.after(self._random.randint(BRIEF_MS[0], LONG_MS[1]), connect)

    def _outage(self, host: Host) -> None:
        cluster = host.cluster
        cluster.is_reachable = False
        self._struck.update(task.host.name for task in self._scheduler.tasks)

        def back() -> None:
            cluster.is_reachable = True
            for task in self._scheduler.tasks:
                task.host.stir()

        host.timeline.after(self._random.randint(BRIEF_MS[0], LONG_MS[1]), back)
