"""From a record to what a producer sends: bytes, headers and the partition, checked against the topic's limit."""

from collections.abc import Sequence

from msgspec import Struct

from schemas.headers import outgoing, topic_event_type, trace_parent_of
from schemas.partition import partition_for
from schemas.topics import Topic
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
    headers: list[tuple[str, bytes]]


def seal(
    records: Sequence[Record], cause: Delivery, kafka: KafkaSettings, source: str, now_ms: int, *, first: int = 0
) -> list[Envelope]:
    """Ids are made of the causing record's position, so a decision that is repeated repeats its ids. `first` numbers
    the first record, for a cause whose records are written at several times.

    Raises OversizedRecordError, naming the topic and both sizes.
    """
    trace_parent = trace_parent_of(cause.headers)
    written_by = f"millrace/{source}"
    cause_id = f"{cause.topic}/{cause.partition}/{cause.offset}"
    return [
        Envelope(
            topic=kafka.topic(record.topic),
            partition=_partition(record.topic, record, kafka.partitions),
            key=record.key.encode(),
            value=_value(record),
            headers=outgoing(
                topic_event_type(record.topic.name),
                f"{cause_id}/{number}",
                written_by,
                now_ms,
                trace_parent,
            ),
        )
        for number, record in enumerate(records, first)
    ]


def _value(record: Record) -> bytes:
    value = record.event.encode()
    limit = record.topic.max_message_bytes
    if len(value) + RECORD_OVERHEAD_BYTES > limit:
        raise OversizedRecordError(f"{len(value)} bytes for topic {record.topic.name}, which takes {limit}")
    return value


def _partition(topic: Topic, record: Record, partitions: int) -> int:
    return 0 if topic.partitions == 1 else partition_for((record.partition_by or record.key).encode(), partitions)
