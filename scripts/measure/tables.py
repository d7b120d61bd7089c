"""Tables as a long day leaves them: how many records, and what each says."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from confluent_kafka import Producer

from schemas.account import Registration
from schemas.base import Event
from schemas.cached import Fill
from schemas.control import Tenant
from schemas.flow import Answer, Saved
from schemas.headers import outgoing, topic_event_type
from schemas.partition import partition_for
from schemas.response import Output
from schemas.topics import ACCOUNTS, CACHE, CONTROL, Topic
from schemas.usage import Usage
from streams.runtime.clients import producer_config
from streams.settings import KafkaSettings

TENANTS = 50
USERS = 1_000
ANSWER_CHARS = 1_500
DAY_MS = 86_400_000
Row = tuple[str, str, Event]
"""Key, what decides the partition, and the event."""


@dataclass(frozen=True, slots=True)
class Table:
    topic: Topic
    stage: str
    rows: Callable[[int, int], Iterator[Row]]


def _registrations(count: int, now_ms: int) -> Iterator[Row]:
    """Settled ones: what an id takes for the rest of its day."""
    for number in range(count):
        tenant, request_id = f"tenant-{number % TENANTS}", f"0199f3c0-{number:012d}-7abc-8def"
        registration = Registration(
            tenant_id=tenant,
            user_id=f"user-{number % USERS}",
            request_id=request_id,
            offset=number,
            digest=f"{number:030x}",
            seen_at_ms=now_ms,
            settled_attempts=(f"{number:012d}",),
        )
        yield f"id/{tenant}/{request_id}", tenant, registration


def _answers(count: int, now_ms: int) -> Iterator[Row]:
    text = "It is ripe when it yields to gentle pressure. " * (ANSWER_CHARS // 46)
    for number in range(count):
        namespace, entry = f"tenant-{number % TENANTS}/{number % USERS:032x}", f"{number:064x}"
        answer = Answer(
            output=Output(content=text), finish_reason="stop", model="gpt-5-mini", provider="openai", deployment="one"
        )
        saved = Saved(request_id=f"r-{number}", usage=Usage(), cost_usd=None)
        fill = Fill(
            namespace=namespace,
            entry=entry,
            answer=answer,
            saved=saved,
            stored_at_ms=now_ms,
            expires_at_ms=now_ms + DAY_MS,
        )
        yield entry, namespace, fill


def _tenants(count: int, _now_ms: int) -> Iterator[Row]:
    for number in range(count):
        name = f"tenant-{number}"
        yield f"tenant/{name}", name, Tenant(name=name, key_sha256=(f"{number:064x}",))


TABLES: Mapping[str, Table] = {
    "registrations": Table(ACCOUNTS, "limit", _registrations),
    "answers": Table(CACHE, "cache", _answers),
    "objects": Table(CONTROL, "route", _tenants),
}


def write(kafka: KafkaSettings, table: Table, count: int, now_ms: int) -> None:
    producer = Producer({**producer_config(kafka, "measure"), "linger.ms": 50, "delivery.timeout.ms": 600_000})
    topic, kind = kafka.topic(table.topic), topic_event_type(table.topic.name)
    for key, by, event in table.rows(count, now_ms):
        partition = 0 if table.topic.partitions == 1 else partition_for(by.encode(), kafka.partitions)
        while True:
            try:
                headers = outgoing(kind, f"measured/0/{key}", "millrace/measure", now_ms, None)
                producer.produce(topic, event.encode(), key, partition, headers=[*headers])
            except BufferError:
                producer.poll(0.1)
            else:
                break
    producer.flush()
