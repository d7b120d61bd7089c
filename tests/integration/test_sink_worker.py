"""Rows are committed after they are stored, wait on Kafka while the store is away, and are never dropped silently."""

from collections.abc import Callable, Iterator, Sequence
from os import urandom

import pytest
from typing_extensions import override

from schemas.call import CallRow
from schemas.topics import CALLS, DEAD_LETTERS
from scripts.stack.readiness import holds_within
from sinks.protocol import Refusal, Unavailable
from streams.observe.health import Progress
from streams.observe.metrics import Metrics
from streams.process import now_ms
from streams.runtime.kafka import ConfluentClients
from streams.runtime.sink_worker import SinkWorker
from streams.runtime.spill import Spill, SpilledError
from streams.settings import KafkaSettings, SinkSettings, WorkerSettings
from tests.fakes.call_rows import call_row
from tests.fakes.sink import FakeSink
from tests.integration.kafka_log import WITHIN_S, KafkaLog
from tests.integration.worker_thread import Bench, WorkerThread

pytestmark = pytest.mark.integration
BATCH_ROWS = 50


class WitnessSink(FakeSink):
    """Notes what was committed whenever it is asked to store rows."""

    def __init__(self, log: KafkaLog) -> None:
        super().__init__()
        self.committed: list[dict[int, int]] = []
        self._log = log

    @override
    def write(self, rows: Sequence[CallRow]) -> Sequence[Refusal]:
        self.committed.append(self._log.committed("sink", CALLS))
        return super().write(rows)


@pytest.fixture
def bench(kafka: KafkaSettings) -> Iterator[Bench]:
    with Bench(kafka) as bench:
        bench.log.create(CALLS, DEAD_LETTERS)
        yield bench


def start(bench: Bench, sink: FakeSink, clock: Callable[[], int] = now_ms, **worker: int) -> WorkerThread:
    settings = SinkSettings(batch_rows=BATCH_ROWS, batch_ms=50)
    spill = Spill("sink", WorkerSettings(**worker), by_batch=True)

    def make(metrics: Metrics, progress: Progress) -> SinkWorker:
        clients = ConfluentClients(bench.kafka)
        return SinkWorker(sink, clients, bench.kafka, settings, spill, now_ms=clock, metrics=metrics, progress=progress)

    return bench.run(make, clock)


def write_rows(bench: Bench, first: int, last: int) -> None:
    """Even numbers on partition 0, odd ones on partition 1."""
    for number in range(first, last + 1):
        bench.log.write(CALLS, call_row(number), partition=number % 2)
    bench.log.flush()


def stored(*sinks: FakeSink) -> set[str]:
    return {row.request_id for sink in sinks for row in sink.stored.values()}


def requests(first: int, last: int) -> set[str]:
    return {f"request-{number}" for number in range(first, last + 1)}


def test_rows_are_committed_only_after_they_are_stored(bench: Bench) -> None:
    sink = WitnessSink(bench.log)
    write_rows(bench, 0, 99)
    worker = start(bench, sink)
    bench.log.await_committed("sink", CALLS, {0: 50, 1: 50})
    worker.stop()

    assert stored(sink) == requests(0, 99)
    assert sink.closed
    written = 0
    for rows, committed in zip(sink.writes, sink.committed, strict=True):
        assert sum(committed.values()) == written  # all that was stored before this write, and none of it
        written += len(rows)
    assert worker.metric("millrace_rows_total") == 100


def test_while_the_store_is_away_rows_wait_on_kafka_and_one_batch_in_memory(bench: Bench) -> None:
    sink = FakeSink()
    sink.outage = Unavailable("it is being upgraded", retry_after_s=0.05)
    write_rows(bench, 0, 299)
    worker = start(bench, sink)
    assert holds_within(WITHIN_S, lambda: len(sink.writes) >= 4)
    assert max(len(rows) for rows in sink.writes) <= BATCH_ROWS
    assert bench.log.committed("sink", CALLS) == {}
    assert (worker.metric("millrace_sink_retries_total") or 0) >= 3

    sink.outage = None

    bench.log.await_committed("sink", CALLS, {0: 150, 1: 150})
    assert stored(sink) == requests(0, 299)
    assert max(len(rows) for rows in sink.writes) <= BATCH_ROWS


def test_a_worker_told_to_stop_during_an_outage_leaves_its_rows_to_the_next(bench: Bench) -> None:
    away = FakeSink()
    away.outage = Unavailable("it is gone", retry_after_s=30)
    write_rows(bench, 0, 9)
    worker = start(bench, away)
    assert holds_within(WITHIN_S, lambda: len(away.writes) == 1)
    worker.stop()
    assert bench.log.committed("sink", CALLS) == {}

    back = FakeSink()
    start(bench, back)
    bench.log.await_committed("sink", CALLS, {0: 5, 1: 5})
    assert stored(back) == requests(0, 9)


def test_what_is_no_row_or_is_refused_is_kept_with_the_reason_and_the_rest_is_stored(bench: Bench) -> None:
    sink = FakeSink(refuses=lambda row: "no column can hold it" if row.request_id == "request-2" else None)
    refused = call_row(2)
    for value in (call_row(1), refused, b"not a row", None, call_row(3)):
        bench.log.write(CALLS, value)
    bench.log.flush()

    worker = start(bench, sink)

    bench.log.await_committed("sink", CALLS, {0: 5})
    assert stored(sink) == {"request-1", "request-3"}
    letters = {dict(letter.headers)["millrace-offset"]: letter for letter in bench.log.read(DEAD_LETTERS)}
    reasons = {offset: dict(letter.headers)["millrace-reason"] for offset, letter in letters.items()}
    assert reasons == {b"1": b"row_refused", b"2": b"unreadable", b"3": b"unreadable"}
    assert letters[b"1"].value == refused.encode()
    assert dict(letters[b"1"].headers)["millrace-detail"] == b"no column can hold it"
    assert letters[b"2"].value == b"not a row"
    assert worker.metric("millrace_rows_total") == 2


def refusing_all() -> FakeSink:
    return FakeSink(refuses=lambda _row: "no column can hold it")


@pytest.mark.parametrize("unreadable", [False, True], ids=["rows that are refused", "every second one is no row"])
def test_a_release_that_cannot_store_rows_stops_and_the_next_takes_what_it_left(bench: Bench, unreadable: bool) -> None:
    """What is buried is committed, and of a batch in which one may not be buried neither happens."""
    for number in range(80):
        bench.log.write(CALLS, call_row(number) if number % 2 or not unreadable else b"not yet a row")
    bench.log.flush()
    broken = start(bench, refusing_all() if not unreadable else FakeSink())

    ended = broken.ended()

    assert isinstance(ended, SpilledError)
    assert f"became dead letters, or were about to, all of {bench.kafka.topic(CALLS)}" in str(ended)
    assert "millrace dlq list --stage sink" in str(ended)
    left_at = bench.log.committed("sink", CALLS).get(0, 0)
    buried = [int(dict(letter.headers)["millrace-offset"] or b"") for letter in bench.log.read(DEAD_LETTERS)]
    assert sorted(buried) == [at for at in range(left_at) if not unreadable or at % 2 == 0]
    assert len(buried) <= 20

    repaired = FakeSink()
    start(bench, repaired, spill_percent=100)
    bench.log.await_committed("sink", CALLS, {0: 80})
    assert stored(repaired) >= {f"request-{at}" for at in range(left_at, 80) if at % 2 or not unreadable}


def test_a_record_many_times_larger_than_a_fetch_is_read_like_any_other(bench: Bench) -> None:
    sink = FakeSink()
    large = urandom(CALLS.max_message_bytes - 1_000)
    for value in (call_row(1), large, call_row(2)):
        bench.log.write(CALLS, value)
    bench.log.flush()
    start(bench, sink)
    bench.log.await_committed("sink", CALLS, {0: 3})
    assert stored(sink) == requests(1, 2)
    assert [letter.value == large for letter in bench.log.read(DEAD_LETTERS)] == [True]


def test_partitions_that_move_take_no_row_with_them(bench: Bench) -> None:
    first, second = FakeSink(), FakeSink()
    write_rows(bench, 0, 99)
    start(bench, first)
    assert holds_within(WITHIN_S, lambda: bool(first.writes))
    start(bench, second)
    written = 99
    while not second.writes:
        write_rows(bench, written + 1, written + 20)
        written += 20
        assert written < 20_000
        holds_within(0.1, lambda: bool(second.writes))
    half = (written + 1) // 2
    bench.log.await_committed("sink", CALLS, {0: half, 1: half})
    assert stored(first, second) == requests(0, written)


def test_partitions_that_move_during_an_outage_do_not_fill_the_memory_of_their_new_owner(bench: Bench) -> None:
    sinks = (FakeSink(), FakeSink())
    for sink in sinks:
        sink.outage = Unavailable("it is gone", retry_after_s=0.5)
    write_rows(bench, 0, 999)
    start(bench, sinks[0])
    assert holds_within(WITHIN_S, lambda: bool(sinks[0].writes))
    second = start(bench, sinks[1])
    assert holds_within(WITHIN_S, lambda: len(sinks[1].writes) > 1 and len(sinks[0].writes) > 1)
    assert second.is_running
    assert max(len(rows) for sink in sinks for rows in sink.writes) <= 2 * BATCH_ROWS

    for sink in sinks:
        sink.outage = None

    bench.log.await_committed("sink", CALLS, {0: 500, 1: 500})
    second.stop()  # and the first is given back a partition on which it had stopped reading
    write_rows(bench, 1_000, 1_009)
    bench.log.await_committed("sink", CALLS, {0: 505, 1: 505})
    assert stored(*sinks) == requests(0, 1_009)


def test_who_is_given_other_partitions_while_it_waits_for_the_store_reads_them_at_once(bench: Bench) -> None:
    patient, other = FakeSink(), FakeSink()
    patient.outage = Unavailable("it is gone", retry_after_s=600)
    write_rows(bench, 0, 9)
    start(bench, patient)
    assert holds_within(WITHIN_S, lambda: len(patient.writes) == 1)
    patient.outage = None

    start(bench, other)

    bench.log.await_committed("sink", CALLS, {0: 5, 1: 5})
    assert stored(patient, other) == requests(0, 9)
    assert len(patient.writes) > 1


def test_how_far_behind_it_is_shows_while_the_store_is_away(bench: Bench) -> None:
    sink = FakeSink()
    sink.outage = Unavailable("it is gone", retry_after_s=0.1)
    write_rows(bench, 0, 9)
    worker = start(bench, sink, lambda: 50 * now_ms())
    topic = bench.kafka.topic(CALLS)

    def lag(partition: str) -> float | None:
        return worker.metric("millrace_lag_records", stage="sink", topic=topic, partition=partition)

    def oldest_s() -> float | None:
        return worker.metric("millrace_oldest_unfinished_seconds", stage="sink")

    assert holds_within(WITHIN_S, lambda: (lag("0"), lag("1")) == (5, 5))
    assert holds_within(WITHIN_S, lambda: (oldest_s() or 0) > 0)
    sink.outage = None
    assert holds_within(WITHIN_S, lambda: (lag("0"), lag("1"), oldest_s()) == (0, 0, 0))
