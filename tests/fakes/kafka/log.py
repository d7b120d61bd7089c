"""Partitions as a broker keeps them."""

from bisect import bisect_left
from dataclasses import dataclass, field

from confluent_kafka import KafkaError

Where = tuple[str, int]
Headers = tuple[tuple[str, bytes], ...]
FOREVER_MS = 10**15


@dataclass(frozen=True, slots=True)
class Stored:
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def size(self) -> int:
        return len(self.key or b"") + len(self.value or b"") + sum(len(n) + len(v) for n, v in self.headers)


@dataclass(frozen=True, slots=True)
class TopicConfig:
    """What of a topic's configuration the runtime depends on; the names are Kafka's."""

    partitions: int = 1
    max_message_bytes: int = 1024 * 1024
    before_max_ms: int = FOREVER_MS
    after_max_ms: int = FOREVER_MS
    is_compacted: bool = False

    def refusal(self, timestamp_ms: int, size: int, now_ms: int) -> int | None:
        """The error code a record gets that the topic does not take."""
        if size > self.max_message_bytes:
            return KafkaError.MSG_SIZE_TOO_LARGE
        if not now_ms - self.before_max_ms <= timestamp_ms <= now_ms + self.after_max_ms:
            return KafkaError.INVALID_TIMESTAMP
        return None


@dataclass(slots=True)
class PartitionLog:
    """Offsets are never given twice; compaction leaves gaps."""

    config: TopicConfig
    records: list[Stored] = field(default_factory=list[Stored])
    end: int = 0

    @property
    def start(self) -> int:
        return 0

    def append(
        self, where: Where, timestamp_ms: int, key: bytes | None, value: bytes | None, headers: Headers
    ) -> Stored:
        stored = Stored(*where, self.end, timestamp_ms, key, value, headers)
        self.records.append(stored)
        self.end += 1
        return stored

    def read(self, offset: int, most: int) -> list[Stored]:
        first = bisect_left(self.records, offset, key=lambda stored: stored.offset)
        return self.records[first : first + most]

    def first_since(self, timestamp_ms: int) -> int | None:
        """Offset of the first record that is not older; None when all are."""
        return next((stored.offset for stored in self.records if stored.timestamp_ms >= timestamp_ms), None)

    def compact(self) -> None:
        """Of each key only the newest record stays. The last record stays, as in Kafka's active segment."""
        newest = {stored.key: stored.offset for stored in self.records}
        self.records = [stored for stored in self.records if newest[stored.key] == stored.offset]
