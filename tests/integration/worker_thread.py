"""Runs workers on threads, and says how they ended."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

from schemas.topics import COMPLETIONS, CONTROL, MISSES, Topic
from schemas.wire import PublishedEvent
from scripts.stack.readiness import holds_within
from streams.observe.health import Progress
from streams.observe.metrics import Metrics
from streams.process import now_ms as wall_clock_ms
from streams.runtime.delivery import Delivery
from streams.runtime.kafka import Clients, ConfluentClients
from streams.runtime.outcome import Forward, Outcome, Record
from streams.runtime.stage import Stage, Stateless, View
from streams.runtime.worker import Worker
from streams.settings import KafkaSettings, WorkerSettings
from tests.integration.kafka_log import WITHIN_S, KafkaLog
from tests.unit.examples import deployment, route, tenant

QUICK: dict[str, int] = {"poll_ms": 10, "commit_interval_ms": 0, "drain_ms": 5_000}
STALL_MS = 60_000


class Runs(Protocol):
    def run(self, stop: threading.Event) -> None: ...


class WorkerThread:
    """`metrics` and `progress` are what its worker reports to."""

    def __init__(self, make: Callable[[Metrics, Progress], Runs], clock: Callable[[], int]) -> None:
        self.metrics = Metrics()
        self.progress = Progress(clock, STALL_MS)
        self.worker = make(self.metrics, self.progress)
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.worker.run(self._stop)
        except BaseException as failure:  # noqa: BLE001  # told to the test
            self._failure = failure

    def await_running(self) -> Self:
        assert holds_within(WITHIN_S, lambda: self.progress.health().state == "running" or not self._thread.is_alive())
        assert self._thread.is_alive(), self._failure
        return self

    def stop(self) -> None:
        """Raises what the worker raised."""
        self._stop.set()
        failure = self.ended()
        if failure is not None:
            raise failure

    def ask_to_stop(self) -> None:
        self._stop.set()

    def ended(self) -> BaseException | None:
        """Waits for its end, and returns what ended it if it did not end well."""
        self._thread.join(WITHIN_S)
        assert not self._thread.is_alive(), "the worker does not end"
        return self._failure

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


class Bench:
    """Topics of its own, the sample configuration, and the workers a test starts on them."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.kafka = kafka
        self.log = KafkaLog(kafka)
        self._workers: list[WorkerThread] = []

    def configure(self) -> None:
        self.log.create(CONTROL)
        self.write_configuration()

    def write_configuration(self) -> None:
        for configured in (tenant(), deployment(), route()):
            self.log.write(CONTROL, configured, key=f"{configured.kind}/{configured.name}")
        self.log.flush()

    def start(
        self,
        stage: Stage[Any, Any],
        *,
        now_ms: Callable[[], int] = wall_clock_ms,
        clients: Clients | None = None,
        **settings: int,
    ) -> WorkerThread:
        chosen = WorkerSettings(**{**QUICK, **settings})
        through = clients or ConfluentClients(self.kafka)

        def make(metrics: Metrics, progress: Progress) -> Worker:
            return Worker(stage, through, self.kafka, chosen, now_ms=now_ms, metrics=metrics, progress=progress)

        return self.run(make, now_ms)

    def run(self, make: Callable[[Metrics, Progress], Runs], clock: Callable[[], int] = wall_clock_ms) -> WorkerThread:
        self._workers.append(WorkerThread(make, clock))
        return self._workers[-1]

    def await_obeyed(self, stage: str) -> None:
        """Until the workers know the configuration as it is written now."""
        newest = self.log.end(CONTROL) - 1
        for worker in self._workers:
            assert holds_within(
                WITHIN_S, lambda w=worker: (w.metric("millrace_config_version", stage=stage) or 0) >= newest
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.ask_to_stop()
        for worker in self._workers:
            worker.ended()
        self._workers.clear()
        self.log.close()


class Note(PublishedEvent):
    """A toy stage's event."""

    id: str
    text: str = ""


def toy(decide: Callable[[Note, View[Any]], Outcome], **changes: Any) -> Stage[Note, Any]:
    """Goes by the name of `route` and moves notes from its input to `llm.completions`."""

    def parse(_topic: Topic, delivery: Delivery) -> Note:
        return Note.decode(delivery.value or b"")

    facts: dict[str, Any] = {"reads": (MISSES,), "writes": (COMPLETIONS,), "state": Stateless, "parse": parse}
    return Stage(name="route", decide=decide, **{**facts, **changes})


def passed_on(note: Note, _view: View[Any]) -> Outcome:
    return Forward((Record(COMPLETIONS, note.id, note),))
