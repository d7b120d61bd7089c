"""From a record to what a producer sends: bytes, headers and the partition, checked against the topic's limit."""

from collections.abc import Sequence
from functools import lru_cache

from msgspec import Struct

from schemas.headers import ID, Header, moment, origin, topic_event_type, trace_parent_of, traced
from schemas.partition import partition_for
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import Record
from streams.settings import KafkaSettings

RECORD_OVERHEAD_BYTES = 4 * 1024
"""Headers and framing count towards the topic's limit; ours stay below this."""


class OversizedRecordError(Exception):
    """An outcome would not fit on its topic."""


class Envelope(Struct, frozen=True):
    topic: str
    partition: int
    key: bytes
    value: bytes
    headers: list[Header]


def seal(
    records: Sequence[Record], cause: Delivery, kafka: KafkaSettings, source: str, now_ms: int, *, first: int = 0
) -> list[Envelope]:
    """Ids are made of the causing record's position, so a decision that is repeated repeats its ids. `first` numbers
    the first record, for a cause whose records are written at several times.

    Raises OversizedRecordError, naming the topic and both sizes.
    """
    when, trace = moment(now_ms), traced(trace_parent_of(cause.headers))
    cause_id = f"{cause.topic}/{cause.partition}/{cause.offset}"
    envelopes: list[Envelope] = []
    for number, record in enumerate(records, first):
        topic, common = _labelled(record.topic.name, kafka.topic_prefix, source)
        headers = [(ID, f"{cause_id}/{number}".encode()), when, *common, *trace]
        key = record.key.encode()
        partition = _partition(record, key, kafka.partitions)
        envelopes.append(Envelope(topic, partition, key, _value(record), headers))
    return envelopes


@lru_cache(maxsize=256)
def _labelled(topic: str, prefix: str, source: str) -> tuple[str, tuple[Header, ...]]:
    """A topic's full name, and the headers that all of a writer's records on it have in common."""
    return f"{prefix}{topic}", origin(topic_event_type(topic), f"millrace/{source}")


def _value(record: Record) -> bytes:
    value = record.event.encode()
    limit = record.topic.max_message_bytes
    if len(value) + RECORD_OVERHEAD_BYTES > limit:
        raise OversizedRecordError(f"{len(value)} bytes for topic {record.topic.name}, which takes {limit}")
    return value


def _partition(record: Record, key: bytes, partitions: int) -> int:
    if record.topic.partitions == 1:
        return 0
    return partition_for(key if record.partition_by is None else record.partition_by.encode(), partitions)
