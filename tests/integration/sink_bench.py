"""The real sink as a process, between a real broker and a real ClickHouse engine that a test may take away."""

import http.client
import re
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from confluent_kafka import Producer

from schemas.call import Phase
from schemas.topics import CALLS
from scripts.stack.ports import reserve_port
from scripts.stack.process import Child, Command, log_tail, spawn
from scripts.stack.readiness import holds_within
from sinks.connection import connect
from sinks.embedded.process import EmbeddedClickHouse, start_embedded_clickhouse
from sinks.migrate import migrate
from sinks.settings import ClickHouseSettings
from streams.runtime.clients import producer_config
from streams.runtime.cluster import Cluster
from streams.settings import KafkaSettings
from tests.fakes.call_rows import call_row
from tests.integration.kafka_log import KafkaLog
from tests.integration.orphans import REPOSITORY

PRICE = Decimal("0.000749501")
"""Of every row that `queue` writes."""
_SENDING_S = 120.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What queries see: in the view of calls, in the costs by day, and in the latencies by hour."""

    rows: int
    attempts: int
    costed: int
    cost_usd: Decimal | None
    timed: int


def all_of(count: int) -> Seen:
    """So many attempts, each of them once and priced."""
    return Seen(rows=count, attempts=count, costed=count, cost_usd=count * PRICE, timed=count)


def seen(clickhouse: ClickHouseSettings) -> Seen:
    name = {"name": clickhouse.database}
    with closing(connect(clickhouse)) as connection:

        def one(statement: str) -> Sequence[Any]:
            (row,) = connection.query(statement, name).result_rows
            return row

        calls = one("SELECT count(), uniqExact(attempt_id) FROM {name:Identifier}.calls")
        costs = one("SELECT sum(attempts) - sum(cost_unknown), sum(cost_usd) FROM {name:Identifier}.cost_daily")
        latencies = one("SELECT sum(requests) FROM {name:Identifier}.latency_hourly")
    return Seen(*calls, *costs, *latencies)


class SinkProcess:
    """`millrace sink`."""

    def __init__(self, child: Child, port_file: Path, log: Path) -> None:
        self.child = child
        self.log = log
        self._port_file = port_file

    def metric(self, name: str) -> float:
        """The sum over its labels; 0 before it is served."""
        assert self.child.running, log_tail(self.log)
        if not self._port_file.exists():
            return 0
        connection = http.client.HTTPConnection("127.0.0.1", int(self._port_file.read_text()), timeout=30)
        with closing(connection):
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))

    def peak_mb(self) -> float:
        """The most memory it has held at any time."""
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        (peak_kb,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
        return int(peak_kb) / 1024


class SinkBench:
    """All topics, and an engine that always comes back on the same port with the same data. Starts nothing by itself
    but the engine, once, to make the tables.
    """

    def __init__(self, kafka: KafkaSettings, directory: Path) -> None:
        self.kafka = kafka
        self.log = KafkaLog(kafka)
        self._directory = directory
        self._held = ExitStack()
        self._engine: EmbeddedClickHouse | None = None
        port = self._held.enter_context(reserve_port()).port
        self.clickhouse = ClickHouseSettings(port=port, connect_timeout_s=5, send_timeout_s=60)
        self._sinks: list[SinkProcess] = []

    def __enter__(self) -> Self:
        Cluster(self.kafka).apply()
        self.start_engine()
        with closing(connect(self.clickhouse)) as connection:
            migrate(connection, self.clickhouse.database, self.clickhouse.retention_days)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for sink in self._sinks:
            sink.child.kill()
        self.stop_engine()
        self.log.close()
        self._held.close()

    def start_engine(self) -> None:
        self._engine = start_embedded_clickhouse(self._directory / "clickhouse", port=self.clickhouse.port)

    def stop_engine(self) -> None:
        if self._engine is not None:
            self._engine.stop()
        self._engine = None

    def kill_engine(self) -> None:
        assert self._engine is not None
        self._engine.stop(within_s=0)
        self._engine = None

    def start_sink(self, *, port: int | None = None, batch_rows: int = 20_000) -> SinkProcess:
        """Speaks to ClickHouse at `port`, or directly."""
        directory = self._directory / f"sink-{len(self._sinks)}"
        directory.mkdir()
        kafka = self.kafka.model_dump(mode="json", exclude_none=True)
        command = Command(
            argv=[sys.executable, "-m", "scripts.cli", "sink"],
            log=directory / "log",
            cwd=REPOSITORY,
            env={
                **{f"MILLRACE_KAFKA_{field.upper()}": str(value) for field, value in kafka.items()},
                "MILLRACE_CLICKHOUSE_PORT": str(port or self.clickhouse.port),
                "MILLRACE_OBSERVE_PORT_FILE": str(directory / "port"),
                "MILLRACE_SINK_BATCH_ROWS": str(batch_rows),
            },
        )
        self._sinks.append(SinkProcess(spawn(command), directory / "port", command.log))
        return self._sinks[-1]

    def queue(self, numbers: Iterable[int], phase: Phase = "priced") -> None:
        """Rows in this phase, as fast as the broker takes them, spread over the partitions."""
        producer = Producer(
            {**producer_config(self.kafka, "test"), "linger.ms": 20, "queue.buffering.max.messages": 200_000}
        )
        template = call_row(1, phase, request_id="request-#", root_request_id="request-#", attempt_id="attempt-#")
        parts = template.encode().split(b"#")
        topic, partitions = self.kafka.topic(CALLS), self.kafka.partitions
        for number in numbers:
            value = str(number).encode().join(parts)
            while True:
                try:
                    producer.produce(topic, value, b"acme", number % partitions)
                except BufferError:
                    producer.poll(0.1)
                else:
                    break
        assert producer.flush(_SENDING_S) == 0

    def await_drained(self, count: int, within_s: float) -> None:
        """Until so many records are committed: the lag is 0."""
        assert holds_within(within_s, lambda: sum(self.log.committed("sink", CALLS).values()) == count), (
            self.log.committed("sink", CALLS)
        )
