"""One part of the pipeline at work on a cluster in memory: its topics, the outside world's records, and the workers."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from random import Random
from typing import Any, TypeVar, cast

from schemas.base import Event
from schemas.partition import partition_for
from schemas.topics import CONTROL, TOPICS, Topic
from streams.clock import SteadyClock
from streams.observe.health import Progress
from streams.observe.metrics import Metrics
from streams.runtime.cluster import wanted
from streams.runtime.outcome import Outcome
from streams.runtime.stage import Stage, State, Stateless
from streams.runtime.worker import Worker
from streams.settings import KafkaSettings, WorkerSettings
from tests.fakes.kafka.clients import FakeClients
from tests.fakes.kafka.cluster import Cluster
from tests.fakes.kafka.host import Host
from tests.fakes.kafka.log import Stored
from tests.fakes.kafka.timeline import Timeline
from tests.simulated.scheduler import Scheduler, Task

E = TypeVar("E", bound=Event)
STALL_MS = 60_000
DOOMED = "doomed"
"""Label of requests whose decision raises."""
MOST_SKEWED_MS = 900
"""Every clock is within this of the brokers': no two differ by more than the allowance for it."""

KAFKA = KafkaSettings(partitions=2, session_timeout_ms=10_000, delivery_timeout_ms=6_000)


@dataclass(slots=True)
class Process:
    """One process of the part under test. `now_ms` is its own clock on a machine whose wall clock is skewed and may be
    set. `task` is its main thread; `worker` what runs on it, once it is made.
    """

    host: Host
    now_ms: Callable[[], int]
    stop: threading.Event
    progress: Progress
    task: Task | None = None
    worker: Worker | None = None

    @property
    def failure(self) -> BaseException | None:
        return self.task.failure if self.task is not None else None

    @property
    def is_alive(self) -> bool:
        return self.host.is_up and self.task is not None and not self.task.has_ended


@dataclass(frozen=True, slots=True)
class Part:
    """Of the pipeline: what it reads, the tables its state is in, and what each of its processes does."""

    name: str
    reads: tuple[Topic, ...]
    run: Callable[["World", Process], None]
    tables: tuple[Topic, ...] = ()
    state: Callable[[], State] = Stateless


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that reached the provider."""

    identity: str
    host: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Break:
    """What a process had to bear: in the end its own end, for which both times are the same."""

    host: str
    from_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class Unfit:
    """What cannot be handled. `requester` is the identity of the request, where it can be made out."""

    topic: str
    value: bytes
    requester: str | None


class World:
    """`expected` counts records the outside world is still to write; `history` is the part's tables, uncompacted.
    `asked` are all calls, `failed` those that the caller was told have failed. `wrong` is what was seen
    while it happened; `breaks` is what was done to whom; `unfits`, what was written that cannot be handled.
    """

    def __init__(self, part: Part, random: Random, scheduler: Scheduler, timeline: Timeline) -> None:
        self.part = part
        self.kafka = KAFKA
        self.random = random
        self.scheduler = scheduler
        self.history: list[Stored] = []
        self.asked: list[Asked] = []
        self.failed: list[Asked] = []
        self.wrong: list[str] = []
        self.breaks: list[Break] = []
        self.unfits: dict[bytes, Unfit] = {}
        self._skews_ms: dict[str, int] = {}
        self.timeline = timeline
        self.cluster = Cluster(timeline, session_ms=KAFKA.session_timeout_ms)
        self.cluster.create([wanted(topic, KAFKA) for topic in TOPICS])
        for table in part.tables:
            self.on_written(table, self.history.append)
        self.workers: list[Process] = []
        self.expected = 0
        self.settings = WorkerSettings(
            batch_size=random.choice((1, 3, 50)),
            poll_ms=random.choice((10, 100)),
            commit_interval_ms=random.choice((0, 250)),
            drain_ms=random.choice((500, 4_000)),
            max_parked=random.choice((1, 3, 50)),
        )
        self.metrics = Metrics()
        self._started = 0
        self._group = KAFKA.group(part.name)
        self._inputs = [(KAFKA.topic(topic), p) for topic in part.reads for p in range(KAFKA.partitions)]

    def configure(self, *objects: Any) -> None:
        for each in objects:
            self.write(CONTROL, each, key=f"{each.kind}/{each.name}")

    def write(
        self, topic: Topic, event: Event | bytes, *, key: str, partition_by: str | None = None, after_ms: int = 0
    ) -> None:
        """As somebody would who never fails."""
        partition = 0 if topic.partitions == 1 else partition_for((partition_by or key).encode(), KAFKA.partitions)
        value = event.encode() if isinstance(event, Event) else event
        self.expected += 1

        def arrive() -> None:
            self.expected -= 1
            self.cluster.append((KAFKA.topic(topic), partition), key.encode(), value)
            for process in self.workers:
                process.host.stir()

        self.timeline.after(after_ms, arrive)

    def events(self, topic: Topic, kind: type[E]) -> list[E]:
        """What is on the topic and can be handled, partition by partition."""
        there = self.cluster.records(KAFKA.topic(topic))
        return [kind.decode(stored.value or b"") for stored in there if self.unfit(stored) is None]

    def write_unfit(self, topic: Topic, value: bytes, requester: str | None, *, key: str, after_ms: int) -> None:
        """Values of no two are the same."""
        self.unfits[value] = Unfit(KAFKA.topic(topic), value, requester)
        self.write(topic, value, key=key, after_ms=after_ms)

    def unfit(self, stored: Stored) -> Unfit | None:
        found = self.unfits.get(stored.value or b"")
        return found if found is not None and found.topic == stored.topic else None

    def on_written(self, topic: Topic, told: Callable[[Stored], None]) -> None:
        name = KAFKA.topic(topic)
        self.cluster.on_append.append(lambda stored: told(stored) if stored.topic == name else None)

    def start(self) -> None:
        self._started += 1
        host = Host(f"worker-{self._started}", self.cluster, self.scheduler)
        self._skews_ms[host.name] = self.random.randint(-MOST_SKEWED_MS, MOST_SKEWED_MS)
        now_ms = SteadyClock(
            wall_ns=lambda: (self.timeline.now_ms + self._skews_ms[host.name]) * 1_000_000,
            monotonic_ns=lambda: self.timeline.now_ms * 1_000_000,
        ).now_ms
        process = Process(host, now_ms, threading.Event(), Progress(now_ms, STALL_MS))
        process.task = self.scheduler.start(host, lambda: self.part.run(self, process))
        self.workers.append(process)

    def broke(self, host: Host, from_ms: int, until_ms: int) -> None:
        self.breaks.append(Break(host.name, from_ms, until_ms))

    def jump(self, host: Host, by_ms: int) -> None:
        """Its wall clock, not the time that passes."""
        self._skews_ms[host.name] += by_ms

    def stop(self, host: Host) -> None:
        for process in self.alive():
            if process.host is host:
                process.stop.set()

    def alive(self) -> list[Process]:
        return [process for process in self.workers if process.is_alive]

    def is_settled(self) -> bool:
        """Everything written has been worked on, and that is committed."""
        if self.expected:
            return False
        committed = self.cluster.group(self._group).committed
        return all(committed.get(where, 0) == self.cluster.log(where).end for where in self._inputs)

    def states(self) -> dict[int, list[State]]:
        """What workers hold in memory, read back to the end, by partition: one each, when all is quiet."""
        held: dict[int, list[State]] = {}
        for process in self.alive():
            if process.progress.health().state == "running":
                # the worker keeps its state to itself; a simulation may look
                partitions: dict[int, Any] = cast("Any", process.worker)._partitions
                for partition, work in partitions.items():
                    held.setdefault(partition, []).append(work.state)
        return held

    def folded(self) -> dict[int, State]:
        """What the tables' records say each partition's state must be."""
        read = {KAFKA.topic(table): table.events.decode for table in self.part.tables if table.events is not None}
        if not read:
            return {}
        states: dict[int, State] = {p: self.part.state() for p in range(KAFKA.partitions)}
        for stored in self.history:
            states[stored.partition].apply(read[stored.topic](stored.value or b""), self.timeline.now_ms)
        return states


def synchronous(stage: Stage[Any, Any]) -> Part:
    failing = replace(stage, decide=failing_on_doomed(stage.decide))

    def run(world: World, process: Process) -> None:
        process.worker = Worker(
            failing,
            FakeClients(process.host, KAFKA),
            KAFKA,
            world.settings,
            now_ms=process.now_ms,
            metrics=world.metrics,
            progress=process.progress,
            clock_us=lambda: process.now_ms() * 1_000,
        )
        process.worker.run(process.stop)

    return Part(stage.name, stage.reads, run, stage.tables, stage.state)


def failing_on_doomed(decide: Callable[[Any, Any], Outcome]) -> Callable[[Any, Any], Outcome]:
    def decided(event: Any, view: Any) -> Outcome:
        if DOOMED in getattr(getattr(event, "ticket", None), "labels", {}):
            raise ZeroDivisionError
        return decide(event, view)

    return decided


def repeats(identities: Iterable[str]) -> list[str]:
    """Those which come more than once, in order."""
    seen: set[str] = set()
    twice: list[str] = []
    for identity in identities:
        if identity in seen:
            twice.append(identity)
        seen.add(identity)
    return twice
