"""How far the partitions of topics reach, for many topics at once."""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import cast

from confluent_kafka import TopicPartition
from confluent_kafka.admin import ListOffsetsResultInfo, OffsetSpec

from scripts.cli.kafka import admin
from streams.settings import KafkaSettings

LOOKUP_TIMEOUT_S = 30.0

# typed as optional by the library, and set when it is imported
_EARLIEST = cast("OffsetSpec", OffsetSpec.earliest())
_LATEST = cast("OffsetSpec", OffsetSpec.latest())
_MAX_TIMESTAMP = cast("OffsetSpec", OffsetSpec.max_timestamp())


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets of one partition: from `start` up to, and without, `end`."""

    start: int
    end: int

    @property
    def count(self) -> int:
        """Compaction may have removed some of them."""
        return self.end - self.start


Spans = Mapping[int, Span]
"""By partition."""


def spans(kafka: KafkaSettings, topics: Mapping[str, int], since_ms: int | None = None) -> dict[str, Spans]:
    """What is there now, by topic (`topics` has their partition counts): all of it, or from the first record that was
    written at or after `since_ms`. Raises KafkaException.
    """
    first = _EARLIEST if since_ms is None else OffsetSpec.for_timestamp(since_ms)
    starts = _listed(kafka, topics, first)
    ends = _listed(kafka, topics, _LATEST)
    return {
        topic: {partition: _span(starts[topic, partition], ends[topic, partition]) for partition in range(partitions)}
        for topic, partitions in topics.items()
    }


def newest_ms(kafka: KafkaSettings, topics: Mapping[str, int]) -> int | None:
    """The largest timestamp of any record on the topics; None when they are empty."""
    found = _listed(kafka, topics, _MAX_TIMESTAMP).values()
    return max((each.timestamp for each in found if each.timestamp >= 0), default=None)


def _span(start: ListOffsetsResultInfo, end: ListOffsetsResultInfo) -> Span:
    """A start is negative where no record is that young."""
    return Span(end.offset if start.offset < 0 else min(start.offset, end.offset), end.offset)


def _listed(
    kafka: KafkaSettings, topics: Mapping[str, int], spec: OffsetSpec
) -> dict[tuple[str, int], ListOffsetsResultInfo]:
    asked = {TopicPartition(name, number): spec for name, count in topics.items() for number in range(count)}
    if not asked:
        return {}
    client = admin(kafka)  # held until all is answered: a client that is let go of never answers
    futures = cast(
        "dict[TopicPartition, Future[ListOffsetsResultInfo]]",
        client.list_offsets(asked, request_timeout=LOOKUP_TIMEOUT_S),
    )
    return {(where.topic, where.partition): future.result(LOOKUP_TIMEOUT_S) for where, future in futures.items()}
