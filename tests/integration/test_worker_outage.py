"""A broker that dies or freezes under its workers: they go on when it is back, or end in time, and nothing is lost."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.call import CallRow
from schemas.topics import CALLS, COMPLETIONS, DISPATCH, MISSES
from scripts.stack.broker import Cluster, start_cluster
from scripts.stack.readiness import holds_within
from streams.observe.health import Progress
from streams.observe.metrics import Metrics
from streams.process import now_ms
from streams.runtime.kafka import ConfluentClients
from streams.runtime.outcome import Outcome
from streams.runtime.sink_worker import SinkWorker
from streams.runtime.spill import Spill
from streams.runtime.stage import View
from streams.runtime.worker import DrainTimeoutError
from streams.settings import KafkaSettings, SinkSettings, WorkerSettings
from tests.fakes.call_rows import call_row
from tests.fakes.sink import FakeSink
from tests.integration.invoke_bench import Desk, InvokeBench
from tests.integration.kafka_log import WITHIN_S
from tests.integration.stage_process import StageProcess
from tests.integration.worker_thread import Note, passed_on, toy

pytestmark = pytest.mark.integration
NORMAL = DISPATCH["normal"]


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Cluster]:
    """The shared one is not to be touched."""
    with start_cluster(tmp_path) as cluster:
        yield cluster


@pytest.fixture
def bench(own_broker: Cluster) -> Iterator[InvokeBench]:
    kafka = KafkaSettings(bootstrap_servers=own_broker.bootstrap_servers, partitions=2)
    with InvokeBench(kafka) as bench:
        bench.prepare()
        bench.log.create(MISSES)
        yield bench


def test_workers_outlive_their_broker_and_lose_nothing(bench: InvokeBench, own_broker: Cluster) -> None:
    sink, desk, clients = FakeSink(), Desk(), ConfluentClients(bench.kafka)
    (node,) = own_broker.brokers

    def sink_worker(metrics: Metrics, progress: Progress) -> SinkWorker:
        settings, spill = SinkSettings(batch_rows=50, batch_ms=50), Spill("sink", WorkerSettings(), by_batch=True)
        return SinkWorker(
            sink, clients, bench.kafka, settings, spill, now_ms=now_ms, metrics=metrics, progress=progress
        )

    def write(numbers: range) -> None:
        for number in numbers:
            bench.log.write(MISSES, Note(id=f"n-{number}"), partition=number % 2)
            bench.log.write(CALLS, call_row(number), partition=number % 2)
        bench.dispatch(*(f"d-{number}" for number in numbers))

    def await_all(count: int) -> None:
        bench.log.await_finished("route", MISSES, count)
        bench.log.await_finished("invoke", NORMAL, count)
        assert holds_within(
            WITHIN_S, lambda: {f"request-{n}" for n in range(count)} <= {r.request_id for r in sink.stored.values()}
        )

    workers = [bench.start(toy(passed_on)), bench.start_invoke(desk), bench.run(sink_worker)]
    write(range(20))
    await_all(20)

    node.kill()
    node.start()

    write(range(20, 40))
    await_all(40)
    assert [worker.is_running for worker in workers] == [True, True, True]
    notes = {Note.decode(r.value or b"").id for r in bench.log.read(COMPLETIONS) if (r.key or b"").startswith(b"n-")}
    assert notes == {f"n-{number}" for number in range(40)}
    assert set(desk.asked) == {f"d-{number}" for number in range(40)}
    assert {row.request_id for row in bench.log.events(CALLS, CallRow)} >= {f"d-{number}" for number in range(40)}


def test_a_worker_told_to_stop_while_its_broker_is_frozen_ends_in_bounded_time_and_the_next_does_its_work(
    bench: InvokeBench, own_broker: Cluster
) -> None:
    (node,) = own_broker.brokers

    def freezing(note: Note, view: View[Any]) -> Outcome:
        if note.text == "freeze":
            node.pause()
        return passed_on(note, view)

    bench.log.write(MISSES, Note(id="n-0"))
    bench.log.flush()
    worker = bench.start(toy(freezing), drain_ms=200)
    bench.log.await_finished("route", MISSES, 1)
    bench.log.write(MISSES, Note(id="n-1", text="freeze"))
    bench.log.write(MISSES, Note(id="n-2"))
    bench.log.flush()
    assert holds_within(WITHIN_S, lambda: worker.progress.health().in_flight > 0)

    worker.ask_to_stop()

    assert isinstance(worker.ended(), DrainTimeoutError)
    node.resume()
    assert bench.log.committed("route", MISSES) == {0: 1}


def test_a_process_that_waits_in_the_client_for_a_frozen_broker_ends_all_the_same_when_told_to(
    bench: InvokeBench, own_broker: Cluster, tmp_path: Path
) -> None:
    (node,) = own_broker.brokers
    process = StageProcess(bench, tmp_path / "process", "route", drain_ms=100)
    try:
        assert holds_within(WITHIN_S, lambda: process.health() == (200, "running"))
        node.pause()
        # it proves that it is in its group every few seconds, and waits for the answer
        assert holds_within(WITHIN_S, lambda: process.health() == (503, "stalled"))
        assert process.child.stop(grace_s=60) == 1
        assert "hard_exit" in process.log.read_text()
    finally:
        node.resume()
        process.child.kill()
