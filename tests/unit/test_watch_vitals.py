"""A watch that does not move while rows wait for it is not healthy, whatever its process says."""

from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.control import Breaker
from streams.control import ControlView
from streams.observe.health import Progress
from streams.observe.metrics import Metrics
from streams.watch.vitals import Vitals

STALL_MS = 60_000


class Where(NamedTuple):
    topic: str
    partition: int


CALLS, CHANGELOG = Where("llm.calls", 3), Where("millrace.watch-health-changelog", 3)


@dataclass
class Monitor:
    tp_end_offsets: dict[Where, int] = field(default_factory=dict[Where, int])
    tp_read_offsets: dict[Where, int] = field(default_factory=dict[Where, int])
    tp_committed_offsets: dict[Where, int] = field(default_factory=dict[Where, int])


class Batch:
    def __init__(self, rows: int) -> None:
        self.deliveries = [object()] * rows


class Consumer:
    unacked: tuple[Batch, ...] = ()

    def assignment(self) -> set[Where]:
        return {CALLS, CHANGELOG}


class Tables:
    changelog_topics = frozenset({CHANGELOG.topic})


class App:
    """What Faust knows of itself, as far as it is asked."""

    def __init__(self) -> None:
        self.monitor, self.consumer, self.tables = Monitor(), Consumer(), Tables()
        self.rebalancing = self.in_recovery = False


class Bench:
    def __init__(self) -> None:
        self.now_ms = 0
        self.finished = 0
        self.app, self.metrics = App(), Metrics()
        self.progress = Progress(lambda: self.now_ms, STALL_MS)
        self.vitals = Vitals(self.app, self.metrics, self.progress)

    def report(self, *breakers: Breaker) -> str:
        self.vitals.report(
            ControlView(breakers={breaker.name: breaker for breaker in breakers}, version=7), self.finished
        )
        return self.progress.health().state

    def gauge(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, {"stage": "watch", **labels})


def test_it_is_not_healthy_before_it_has_its_partitions_and_while_it_restores_them() -> None:
    bench = Bench()
    assert bench.progress.health().state == "starting"

    assert bench.report() == "running"
    bench.app.in_recovery = True
    assert bench.report() == "restoring"
    assert not bench.progress.health().ok


def test_rows_that_wait_while_nothing_moves_make_it_stalled() -> None:
    bench = Bench()
    bench.report()
    bench.app.monitor.tp_end_offsets[CALLS] = 100
    bench.app.monitor.tp_read_offsets[CALLS] = 89

    bench.now_ms = STALL_MS + 1
    assert bench.report() == "stalled"
    assert bench.gauge("millrace_in_flight", lane="all") == 10

    bench.finished = 1
    assert bench.report() == "running"


def test_each_row_of_a_batch_in_hand_is_one_in_flight() -> None:
    bench = Bench()
    bench.app.consumer.unacked = (Batch(500), Batch(2))

    bench.report()

    assert bench.gauge("millrace_in_flight", lane="all") == 502


def test_an_idle_watch_is_healthy_for_as_long_as_its_loop_comes_round() -> None:
    bench = Bench()
    bench.report()

    bench.now_ms = 10 * STALL_MS
    assert bench.report() == "running"
    bench.now_ms += STALL_MS + 1
    assert bench.progress.health().state == "stalled"


def test_lag_is_what_has_not_been_committed_and_changelogs_have_none() -> None:
    bench = Bench()
    bench.app.monitor.tp_end_offsets = {CALLS: 100, CHANGELOG: 5_000}
    bench.app.monitor.tp_read_offsets[CALLS] = 99
    bench.app.monitor.tp_committed_offsets[CALLS] = 97

    bench.report()

    assert bench.gauge("millrace_lag_records", topic="llm.calls", partition="3") == 3
    assert bench.gauge("millrace_lag_records", topic=CHANGELOG.topic, partition="3") is None
    assert bench.gauge("millrace_in_flight", lane="all") == 0


def test_every_worker_shows_which_breakers_are_open() -> None:
    bench = Bench()
    closed = Breaker(name="a", state="closed", until_ms=0, failure_share=0, calls=0, p95_ms=0, since_ms=0)

    bench.report(closed, closed.model_copy(update={"name": "b", "state": "open"}))

    def opened(name: str) -> float | None:
        return bench.metrics.registry.get_sample_value("millrace_breaker_open", {"deployment": name})

    assert (opened("a"), opened("b")) == (0, 1)
    assert bench.gauge("millrace_config_version") == 7
