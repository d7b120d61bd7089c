"""Asks over Kafka: open loop, whatever becomes of the answers."""

import time
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from typing import Any, Final

from confluent_kafka import Producer

from schemas.base import load_json
from scripts.bench.cpu import taken
from scripts.bench.figure import quantile
from scripts.bench.load.ear import Ear
from scripts.bench.load.job import Answered, Heard, Job, OverKafka
from scripts.bench.mix import KEY, Sent, number_of, requests
from sinks.connection import Connection, connect
from sinks.settings import ClickHouseSettings

_HEADERS: Final[list[tuple[str, str | bytes | None]]] = [("authorization", f"Bearer {KEY}".encode())]
_LOOK_S: Final = 0.05
_ENCODED_BEFORE: Final = 50_000
"""So many requests are made before the clock starts; more would take too much memory."""
_ROWS: Final = """
SELECT uniqExact(request_id) FROM {database:Identifier}.call_rows
WHERE is_final AND startsWith(request_id, {prefix:String})
"""


class NotAnswered(Exception):
    """Too long nothing came; the message says how much was missing."""


def ask(job: Job, door: OverKafka) -> Heard:
    """Returns when everything is answered (and stored, where that is asked). Raises NotAnswered and ProcessGone."""
    prefix = f"{job.mix.name}-"
    ear = Ear(door.bootstrap_servers, door.answers, prefix, job.mix.count)
    is_at_once = not job.due_s[-1]
    sending: Iterable[Sent] = requests(job.mix)
    if is_at_once and job.mix.count <= _ENCODED_BEFORE:
        sending = list(sending)
    producer = _producer(door, linger_ms=5 if is_at_once else 0)
    producer.list_topics(door.requests, 30)  # connected before the clock starts
    try:
        before = taken(job.pids)
        started_ns = time.time_ns()
        late_ms = _send(producer, door.requests, sending, job.due_s, started_ns)
        if not job.is_awaited:
            return _published(job, time.time_ns() - started_ns, late_ms)
        _wait(ear, job)
        answered_ns = max(at_ns for at_ns, _ in ear.heard.values())
        ended_ns = answered_ns if door.clickhouse_port is None else _stored_ns(door.clickhouse_port, prefix, job)
        after = taken(job.pids)
    finally:
        ear.stop()
    statuses, answers = _read(ear.heard, started_ns, job)
    return Heard(
        sent=job.mix.count,
        answered=len(ear.heard),
        repeated=ear.repeated,
        statuses=statuses,
        wall_s=(ended_ns - started_ns) / 1e9,
        answers_after_s=(answered_ns - started_ns) / 1e9,
        cpu_s={name: after[name] - before[name] for name in before},
        generator_late_ms=quantile(late_ms, 0.99),
        answers=answers if job.is_detailed else [],
    )


def _published(job: Job, wall_ns: int, late_ms: list[float]) -> Heard:
    return Heard(
        sent=job.mix.count,
        answered=0,
        repeated=0,
        statuses={},
        wall_s=wall_ns / 1e9,
        answers_after_s=0,
        cpu_s={},
        generator_late_ms=quantile(late_ms, 0.99),
    )


def _producer(door: OverKafka, linger_ms: int) -> Producer:
    options: dict[str, Any] = {
        "bootstrap.servers": door.bootstrap_servers,
        "linger.ms": linger_ms,
        "partitioner": "murmur2_random",
        "compression.type": "lz4",
        # one that asks for an id of its own may wait half a second for it, and its first requests with it
        "enable.idempotence": False,
        "queue.buffering.max.messages": 1_000_000,
        "queue.buffering.max.kbytes": 1_000_000,
    }
    return Producer(options)


def _send(producer: Producer, topic: str, sending: Iterable[Sent], due_s: list[float], started_ns: int) -> list[float]:
    """How late each was, in milliseconds. Returns when all are acknowledged."""
    late_ms: list[float] = []
    for sent, at_s in zip(sending, due_s, strict=True):
        due_ns = started_ns + round(at_s * 1e9)
        while (left_s := (due_ns - time.time_ns()) / 1e9) > 0:
            producer.poll(0)
            time.sleep(min(left_s, _LOOK_S))
        late_ms.append((time.time_ns() - due_ns) / 1e6)
        producer.produce(topic, sent.value, sent.tenant_id, headers=[("load-id", sent.request_id), *_HEADERS])
        producer.poll(0)
    producer.flush()
    return late_ms


def _wait(ear: Ear, job: Job) -> None:
    while not ear.done.wait(_LOOK_S):
        if time.time_ns() - ear.last_ns > job.quiet_s * 1e9:
            missing = job.mix.count - len(ear.heard)
            raise NotAnswered(f"{missing} of {job.mix.count} requests had no answer after {job.quiet_s:g} s of silence")


def _stored_ns(port: int, prefix: str, job: Job) -> int:
    clickhouse = ClickHouseSettings(port=port)
    deadline_s = time.monotonic() + job.quiet_s
    with closing(connect(clickhouse)) as connection:
        while (rows := _rows(connection, clickhouse.database, prefix)) < job.mix.count:
            if time.monotonic() > deadline_s:
                raise NotAnswered(f"{job.mix.count - rows} rows were not in ClickHouse {job.quiet_s:g} s later")
            time.sleep(_LOOK_S)
    return time.time_ns()


def _rows(connection: Connection, database: str, prefix: str) -> int:
    return int(connection.query(_ROWS, {"database": database, "prefix": prefix}).result_rows[0][0])


def _read(heard: dict[bytes, tuple[int, bytes]], started_ns: int, job: Job) -> tuple[dict[str, int], list[Answered]]:
    """Who does not say a status has answered all the same: a hop passes the request on."""
    statuses: Counter[str] = Counter()
    answers: list[Answered] = []
    for key, (at_ns, value) in heard.items():
        said: Any = load_json(value)
        statuses[_status(said)] += 1
        if job.is_detailed:
            number = number_of(key.decode())
            due_s = job.due_s[number]
            answers.append(_answered(number, due_s, (at_ns - started_ns) / 1e6 - due_s * 1000, said))
    return dict(statuses), sorted(answers, key=lambda each: each.number)


def _status(said: Any) -> str:
    status, error = str(said.get("status", "ok")), said.get("error")
    return f"{status}: {error['code']}" if error else status


def _answered(number: int, due_s: float, latency_ms: float, said: Any) -> Answered:
    timings = said.get("timings")
    if timings is None:
        return Answered(number=number, due_s=due_s, latency_ms=latency_ms)
    return Answered(
        number=number,
        due_s=due_s,
        latency_ms=latency_ms,
        provider_ms=timings["provider_ms"],
        cache=said["cache"],
        stages_ms=timings["stages"],
        answered_after_ms=timings["total_ms"],
    )
