"""One stage at work on a cluster in memory: its topics, the outside world's records, and the workers."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar, cast

from schemas.base import Event
from schemas.partition import partition_for
from schemas.topics import CONTROL, TOPICS, Topic
from streams.observe.health import Progress
from streams.observe.metrics import Metrics
from streams.runtime.cluster import wanted
from streams.runtime.kafka import Clients
from streams.runtime.stage import Stage, State
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
MOST_SKEWED_MS = 900
"""Every clock is within this of the brokers': no two differ by more than the allowance for it."""

KAFKA = KafkaSettings(partitions=2, session_timeout_ms=10_000, delivery_timeout_ms=6_000)


@dataclass(slots=True)
class Running:
    """A worker and how to stop it. `worker` is None until it has made its clients."""

    host: Host
    task: Task
    stop: threading.Event
    progress: Progress
    worker: Worker | None = None


class World:
    """`expected` counts records the outside world is still to write; `history` is the stage's table, uncompacted."""

    def __init__(self, stage: Stage[Any, Any], random: Random, scheduler: Scheduler, timeline: Timeline) -> None:
        self.stage = stage
        self.kafka = KAFKA
        self.random = random
        self.scheduler = scheduler
        self.history: list[Stored] = []
        self.timeline = timeline
        self.cluster = Cluster(timeline, session_ms=KAFKA.session_timeout_ms)
        self.cluster.create([wanted(topic, KAFKA) for topic in TOPICS])
        if stage.table is not None:
            self.on_written(stage.table, self.history.append)
        self.workers: list[Running] = []
        self.expected = 0
        self.settings = WorkerSettings(
            batch_size=random.choice((1, 3, 50)),
            poll_ms=random.choice((10, 100)),
            commit_interval_ms=random.choice((0, 250)),
            drain_ms=random.choice((500, 4_000)),
            max_parked=random.choice((1, 3, 50)),
        )
        self._metrics = Metrics()
        self._started = 0

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
            for running in self.workers:
                running.host.stir()

        self.timeline.after(after_ms, arrive)

    def events(self, topic: Topic, kind: type[E]) -> list[E]:
        """What is on the topic, partition by partition."""
        return [kind.decode(stored.value or b"") for stored in self.cluster.records(KAFKA.topic(topic))]

    def on_written(self, topic: Topic, told: Callable[[Stored], None]) -> None:
        name = KAFKA.topic(topic)
        self.cluster.on_append.append(lambda stored: told(stored) if stored.topic == name else None)

    def start(self) -> None:
        self._started += 1
        host = Host(f"worker-{self._started}", self.cluster, self.scheduler)
        skew_ms = self.random.randint(-MOST_SKEWED_MS, MOST_SKEWED_MS)
        stop = threading.Event()

        def now_ms() -> int:
            return self.timeline.now_ms + skew_ms

        def body() -> None:
            clients: Clients = FakeClients(host, KAFKA)
            running.worker = Worker(
                self.stage, clients, KAFKA, self.settings, now_ms=now_ms, metrics=self._metrics, progress=progress
            )
            running.worker.run(stop)

        progress = Progress(now_ms, STALL_MS)
        running = Running(host, self.scheduler.start(host, body), stop, progress)
        self.workers.append(running)

    def stop(self, host: Host) -> None:
        for running in self.alive():
            if running.host is host:
                running.stop.set()

    def alive(self) -> list[Running]:
        return [running for running in self.workers if not running.task.has_ended and running.host.is_up]

    def is_settled(self) -> bool:
        """Everything written has been worked on, and that is committed."""
        if self.expected:
            return False
        committed = self.cluster.group(KAFKA.group(self.stage.name)).committed
        return all(
            committed.get((KAFKA.topic(topic), p), 0) == self.cluster.log((KAFKA.topic(topic), p)).end
            for topic in self.stage.reads
            for p in range(KAFKA.partitions)
        )

    def states(self) -> dict[int, list[State]]:
        """What workers hold in memory, read back to the end, by partition: one each, when all is quiet."""
        held: dict[int, list[State]] = {}
        for running in self.alive():
            if running.progress.health().state == "running":
                # the worker keeps its state to itself; a simulation may look
                partitions: dict[int, Any] = cast("Any", running.worker)._partitions
                for partition, work in partitions.items():
                    held.setdefault(partition, []).append(work.state)
        return held

    def folded(self) -> dict[int, State]:
        """What the table's records say each partition's state must be."""
        table = self.stage.table
        if table is None or table.adapter is None:
            return {}
        states: dict[int, State] = {p: self.stage.state() for p in range(KAFKA.partitions)}
        for stored in self.history:
            states[stored.partition].apply(table.adapter.validate_json(stored.value or b""), self.timeline.now_ms)
        return states


def repeats(identities: Iterable[str]) -> list[str]:
    """Those which come more than once, in order."""
    seen: set[str] = set()
    twice: list[str] = []
    for identity in identities:
        if identity in seen:
            twice.append(identity)
        seen.add(identity)
    return twice
