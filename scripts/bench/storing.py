"""What the sink takes to bring call rows from Kafka into ClickHouse, beside a bare insert of the same rows."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, Producer, TopicPartition

from schemas.base import load_json
from schemas.topics import CALLS
from scripts.bench.call_rows import ROWS_PER_CALL, call_rows
from scripts.bench.cpu import cpu_s
from scripts.bench.figure import by_round, figure
from scripts.bench.machine import machine
from scripts.bench.rig import OURS, PARTITIONS, Rig, Shape
from scripts.stack.errors import StackError
from scripts.stack.readiness import holds_within
from sinks.connection import connect
from streams.clock import now_ms
from streams.runtime.clients import producer_config
from streams.settings import KafkaSettings, SinkSettings

_WITHIN_S: Final = 600.0
_LOOKUP_S: Final = 30.0
_TABLE: Final = "bench_rows"


@dataclass(frozen=True, slots=True)
class Stored:
    """So many rows took so long. Of the sink: from its first commit to its last."""

    rows: int
    wall_s: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        return self.rows / self.wall_s

    @property
    def cpu_us(self) -> float:
        return self.cpu_s / self.rows * 1e6


def store(rows: int, rounds: int, folder: Path, step: Callable[[str], None]) -> dict[str, Any]:
    """Each round `rows` new ones by each, one after the other, the sink in a process that is new."""
    facts, calls = machine(), rows // ROWS_PER_CALL
    with Rig(folder, Shape(), step) as rig:
        rig.stop(*OURS)
        with closing(connect(rig.stack.clickhouse)) as connection:
            database = rig.stack.clickhouse.database
            connection.command(f"CREATE TABLE {database}.{_TABLE} AS {database}.call_rows")
        bare: list[Stored] = []
        ours: list[Stored] = []
        for number in range(rounds):
            step(f"round {number + 1} of {rounds}: a bare insert of {rows} rows")
            bare.append(_bare(rig, number * calls, calls))
            step(f"round {number + 1} of {rounds}: the sink, {rows} rows")
            _publish(rig.stack.kafka, number * calls, calls)
            ours.append(_ours(rig, (number + 1) * calls * ROWS_PER_CALL))
    return {"machine": facts, "rows": rows, "batch_rows": SinkSettings().batch_rows, **told(ours, bare)}


def told(ours: Sequence[Stored], bare: Sequence[Stored]) -> dict[str, Any]:
    """Ratios are taken within each round."""

    def figures(of: Callable[[Stored], float]) -> dict[str, Any]:
        sink, insert = [of(each) for each in ours], [of(each) for each in bare]
        compared = {"sink": figure(sink), "bare": figure(insert), "to_bare": by_round(sink, insert)}
        return {name: None if found is None else found.as_json() for name, found in compared.items()}

    return {"rows_per_s": figures(lambda each: each.per_s), "cpu_us": figures(lambda each: each.cpu_us)}


def _bare(rig: Rig, first: int, calls: int) -> Stored:
    output, clickhouse = rig.folder / "bare_insert.json", rig.stack.clickhouse
    arguments = {
        "port": clickhouse.port,
        "database": clickhouse.database,
        "table": _TABLE,
        "first": first,
        "calls": calls,
        "batch-rows": SinkSettings().batch_rows,
        "output": output.resolve(),
    }
    options = (f"--{name}={value}" for name, value in arguments.items())
    rig.run("bare_insert", "the bare insert", "scripts.bench.contenders.bare_insert", *options)
    said: Any = load_json(output.read_bytes())
    return Stored(said["rows"], said["wall_s"], said["cpu_s"])


def _ours(rig: Rig, until: int) -> Stored:
    """Its start is left out: imports, joining, the first connection."""
    kafka = rig.stack.kafka
    with closing(Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": kafka.group("sink")})) as group:
        before = _committed(group, kafka)
        rig.start("sink")
        pid = rig.pid("sink")
        if not holds_within(_WITHIN_S, lambda: _committed(group, kafka) > before):
            raise StackError(f"the sink stored nothing within {_WITHIN_S:g} s")
        begun, begun_s, used_s = _committed(group, kafka), time.monotonic(), cpu_s(pid)
        if not holds_within(_WITHIN_S, lambda: _committed(group, kafka) >= until):
            raise StackError(f"the sink stored {_committed(group, kafka)} of {until} rows within {_WITHIN_S:g} s")
        found = Stored(until - begun, time.monotonic() - begun_s, cpu_s(pid) - used_s)
    rig.stop("sink")
    return found


def _committed(group: Consumer, kafka: KafkaSettings) -> int:
    places = [TopicPartition(kafka.topic(CALLS), partition) for partition in range(PARTITIONS)]
    return sum(max(place.offset, 0) for place in group.committed(places, _LOOKUP_S))


def _publish(kafka: KafkaSettings, first: int, calls: int) -> None:
    producer = Producer({**producer_config(kafka, "bench"), "linger.ms": 50})
    for number, value in enumerate(call_rows(first, calls, now_ms())):
        while True:
            try:
                producer.produce(kafka.topic(CALLS), value, b"tenant-1", number // ROWS_PER_CALL % PARTITIONS)
            except BufferError:
                producer.poll(0.1)
            else:
                break
    if producer.flush(_WITHIN_S):
        raise StackError("the broker did not take the rows")
