"""ClickHouse refuses for a while, is slow or silent: rows wait, arrive once, and hold up neither group nor end."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest
from confluent_kafka import Consumer
from typing_extensions import override

from schemas.call import CallRow
from schemas.topics import CALLS, DEAD_LETTERS
from scripts.stack.readiness import holds_within
from sinks.clickhouse import ClickHouseSink
from sinks.connection import Connection, connect
from sinks.settings import ClickHouseSettings
from streams.clock import now_ms
from streams.observe.health import Progress
from streams.observe.metrics import Metrics
from streams.runtime.clients import consumer_config
from streams.runtime.kafka import Clients, ConfluentClients, GroupConsumer
from streams.runtime.sink_worker import SinkWorker
from streams.runtime.spill import Spill
from streams.settings import KafkaSettings, SinkSettings, WorkerSettings
from tests.clickhouse_engine import new_database, running_engine
from tests.fakes.call_rows import call_row, unwritable_row
from tests.fakes.proxy import Faults, proxy_to
from tests.integration.kafka_log import WITHIN_S, KafkaLog
from tests.integration.sink_bench import all_of, seen
from tests.integration.worker_thread import Bench, WorkerThread

pytestmark = pytest.mark.integration


class ImpatientClients(ConfluentClients):
    """Of a group that takes a member for gone which does not poll for as long as a session: no less is allowed."""

    def __init__(self, kafka: KafkaSettings) -> None:
        super().__init__(kafka)
        self._settings = kafka

    @override
    def group_consumer(self, stage: str) -> GroupConsumer:
        return Consumer(
            {**consumer_config(self._settings, stage), "max.poll.interval.ms": self._settings.session_timeout_ms}
        )


@dataclass(frozen=True, slots=True)
class Pipe:
    """From a topic of the test's own, through workers and a connection with faults, into a database of its own."""

    bench: Bench
    clickhouse: ClickHouseSettings
    admin: Connection
    faults: Faults
    proxy_port: int

    @property
    def log(self) -> KafkaLog:
        return self.bench.log

    def start(
        self,
        *,
        clock: Callable[[], int] = now_ms,
        clients: Clients | None = None,
        batch_rows: int = 1_000,
        send_timeout_s: int = 60,
        spill_percent: int = 50,
    ) -> WorkerThread:
        changes = {"port": self.proxy_port, "send_timeout_s": send_timeout_s, "connect_timeout_s": send_timeout_s}
        sink = ClickHouseSink(self.clickhouse.model_copy(update=changes))
        kafka, settings = self.bench.kafka, SinkSettings(batch_rows=batch_rows, batch_ms=50)

        def make(metrics: Metrics, progress: Progress) -> SinkWorker:
            chosen = ConfluentClients(kafka) if clients is None else clients
            spill = Spill("sink", WorkerSettings(spill_percent=spill_percent), by_batch=True)
            return SinkWorker(sink, chosen, kafka, settings, spill, now_ms=clock, metrics=metrics, progress=progress)

        return self.bench.run(make, clock)

    def write(self, *rows: CallRow) -> None:
        for row in rows:
            self.log.write(CALLS, row, partition=row.origin_offset % 2)
        self.log.flush()

    def alter(self, change: str) -> None:
        self.admin.command(change.replace("<table>", f"{self.clickhouse.database}.call_rows"))

    def await_stored(self, count: int) -> None:
        self.log.await_finished("sink", CALLS, count)
        assert seen(self.clickhouse) == all_of(count)

    def await_retries(self, worker: WorkerThread, count: int) -> None:
        assert holds_within(WITHIN_S, lambda: (worker.metric("millrace_sink_retries_total") or 0) >= count)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Generator[ClickHouseSettings]:
    with running_engine(tmp_path_factory.mktemp("clickhouse")) as settings:
        yield settings


@pytest.fixture
def pipe(kafka: KafkaSettings, engine: ClickHouseSettings) -> Iterator[Pipe]:
    clickhouse = new_database(engine)
    # workers end before the proxy: what they wait for may be held there
    with proxy_to(clickhouse.port) as proxy, closing(connect(clickhouse)) as admin, Bench(kafka) as bench:
        bench.log.create(CALLS, DEAD_LETTERS)
        yield Pipe(bench, clickhouse, admin, proxy.faults, proxy.port)
        proxy.faults.let_go()


def rows(*numbers: int) -> list[CallRow]:
    return [call_row(number) for number in numbers]


def hurried() -> int:
    """A clock on which the longest wait for an operator is over in a second."""
    return 30 * now_ms()


@pytest.mark.parametrize(
    ("refuse", "accept"),
    [
        ("ALTER TABLE <table> MODIFY SETTING table_readonly = 1", "ALTER TABLE <table> RESET SETTING table_readonly"),
        (
            "ALTER TABLE <table> MODIFY SETTING min_free_disk_bytes_to_perform_insert = 1000000000000000",
            "ALTER TABLE <table> RESET SETTING min_free_disk_bytes_to_perform_insert",
        ),
        (
            "ALTER TABLE <table> MODIFY SETTING parts_to_delay_insert = 1, parts_to_throw_insert = 1",
            "ALTER TABLE <table> RESET SETTING parts_to_delay_insert, parts_to_throw_insert",
        ),
        ("DETACH TABLE <table>", "ATTACH TABLE <table>"),
    ],
    ids=["read-only", "disk full", "too many parts", "table away"],
)
def test_a_refusal_that_passes_costs_no_row(pipe: Pipe, refuse: str, accept: str) -> None:
    pipe.write(*rows(0))
    worker = pipe.start(clock=hurried)
    pipe.await_stored(1)
    pipe.alter(refuse)
    pipe.write(*rows(*range(1, 100)))
    pipe.await_retries(worker, 2)

    pipe.alter(accept)

    pipe.await_stored(100)
    assert pipe.log.read(DEAD_LETTERS) == []


def test_refused_rows_among_twenty_thousand_are_kept_with_the_reason_and_block_no_other(pipe: Pipe) -> None:
    pipe.alter("ALTER TABLE <table> ADD CONSTRAINT known_region CHECK ifNull(region, '') != 'atlantis'")
    among = rows(*range(20_000))
    among[7_777] = call_row(7_777, region="atlantis")
    among[12_345] = unwritable_row(12_345)
    pipe.write(*among)
    pipe.start(batch_rows=20_000)
    pipe.log.await_finished("sink", CALLS, 20_000)
    assert seen(pipe.clickhouse) == all_of(19_998)
    details = {
        CallRow.decode(letter.value or b"").attempt_id: dict(letter.headers)["millrace-detail"] or b""
        for letter in pipe.log.read(DEAD_LETTERS)
    }
    assert details.keys() == {"attempt-7777", "attempt-12345"}
    assert b"known_region" in details["attempt-7777"]
    assert b"uncached_input_tokens" in details["attempt-12345"]


def test_a_batch_of_nothing_but_refused_rows_is_kept_row_by_row_and_the_next_is_stored(pipe: Pipe) -> None:
    pipe.alter("ALTER TABLE <table> ADD CONSTRAINT known_region CHECK ifNull(region, '') != 'atlantis'")
    pipe.write(*(call_row(number, region="atlantis") for number in range(100)))
    pipe.write(*(unwritable_row(number) for number in range(100, 1_000)))
    pipe.start(batch_rows=1_000, spill_percent=100)
    pipe.log.await_finished("sink", CALLS, 1_000)
    assert len(pipe.log.read(DEAD_LETTERS)) == 1_000
    pipe.write(*rows(*range(50)))
    pipe.log.await_finished("sink", CALLS, 1_050)
    assert seen(pipe.clickhouse) == all_of(50)


def test_an_insert_slower_than_the_group_is_patient_keeps_its_partitions_and_is_stored_once(pipe: Pipe) -> None:
    pipe.write(*rows(0))
    kafka = pipe.bench.kafka
    worker = pipe.start(clients=ImpatientClients(kafka))
    pipe.await_stored(1)
    pipe.faults.hold_replies()
    pipe.write(*rows(*range(1, 500)))
    assert holds_within(WITHIN_S, lambda: worker.progress.health().idle_ms > 1.5 * kafka.session_timeout_ms)
    assert pipe.log.members("sink") == 1

    pipe.faults.let_go()

    pipe.await_stored(500)
    assert worker.is_running
    assert not worker.metric("millrace_sink_retries_total")


def test_who_joins_during_a_slow_insert_does_not_wait_for_it(pipe: Pipe) -> None:
    pipe.write(*rows(0))
    slow = pipe.start()
    pipe.await_stored(1)
    pipe.faults.hold_replies()
    pipe.write(*rows(*range(1, 500)))
    assert holds_within(WITHIN_S, lambda: slow.progress.health().in_flight > 0)

    pipe.start().await_running()

    pipe.faults.let_go()
    pipe.await_stored(500)
    assert slow.is_running


def test_a_worker_told_to_stop_leaves_an_insert_that_does_not_end_to_the_next(pipe: Pipe) -> None:
    pipe.write(*rows(0))
    worker = pipe.start(clock=hurried)
    pipe.await_stored(1)
    pipe.faults.hold_replies()
    pipe.write(*rows(*range(1, 100)))
    assert holds_within(WITHIN_S, lambda: worker.progress.health().in_flight > 0)

    worker.stop()

    assert sum(pipe.log.committed("sink", CALLS).values()) == 1
    pipe.faults.let_go()
    pipe.start()
    pipe.await_stored(100)


def test_a_server_that_takes_connections_and_reads_nothing_is_tried_again_until_it_does(pipe: Pipe) -> None:
    pipe.write(*rows(0))
    worker = pipe.start(batch_rows=20_000, send_timeout_s=1)
    pipe.await_stored(1)
    pipe.faults.freeze()
    pipe.write(*rows(*range(1, 20_000)))  # more than the kernel takes on anybody's behalf
    pipe.await_retries(worker, 3)

    pipe.faults.let_go()

    pipe.await_stored(20_000)


@pytest.mark.parametrize("seed", range(2))
def test_inserts_cut_and_unacknowledged_again_and_again_in_other_batches_are_seen_once(pipe: Pipe, seed: int) -> None:
    pipe.faults.cut_requests(*(1_000 * (seed + 1) * cut for cut in range(1, 12)))
    pipe.write(*(call_row(number, "priced") for number in range(1_000)))
    pipe.write(*(call_row(number, "started") for number in range(1_000)))
    first = pipe.start(clock=hurried, batch_rows=170 + seed)
    pipe.await_retries(first, 2)
    pipe.faults.lose_replies(6)
    pipe.start(clock=hurried, batch_rows=230 + seed)
    pipe.write(*(call_row(number, "settled") for number in range(1_000)))
    pipe.log.await_finished("sink", CALLS, 3_000)
    assert seen(pipe.clickhouse) == all_of(1_000)
    assert pipe.faults.happened >= 11
