"""How far the partitions of topics reach, for many topics at once."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar, cast

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import ListOffsetsResultInfo, OffsetSpec

from scripts.cli.kafka import admin
from streams.settings import KafkaSettings

LOOKUP_TIMEOUT_S = 30.0
_PAUSE_S = 0.1
NO_LEADERS = KafkaError._NOENT  # noqa: SLF001  # a public error code whose name has an underscore
# what brokers say while they have not all heard of a topic or its leader yet
_PASSING = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        NO_LEADERS,
    }
)

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
    wanted = [(name, partition) for name, count in topics.items() for partition in range(count)]

    def ask(places: Sequence[tuple[str, int]]) -> Answers[ListOffsetsResultInfo]:
        # a new one, as a client remembers that there was no leader; held, as one that is let go of never answers
        client = admin(kafka)
        asked = {TopicPartition(*place): spec for place in places}
        futures = cast(
            "dict[TopicPartition, Future[ListOffsetsResultInfo]]",
            client.list_offsets(asked, request_timeout=LOOKUP_TIMEOUT_S),
        )
        return {(where.topic, where.partition): _outcome(future) for where, future in futures.items()}

    return persistently(ask, wanted)


def _outcome(future: "Future[ListOffsetsResultInfo]") -> ListOffsetsResultInfo | KafkaException:
    try:
        return future.result(LOOKUP_TIMEOUT_S + 5)  # the request's own limit comes first, and says more
    except KafkaException as error:
        return error


R = TypeVar("R")
Answers = Mapping[tuple[str, int], R | KafkaException]


def persistently(
    ask: Callable[[Sequence[tuple[str, int]]], Answers[R]],
    wanted: Sequence[tuple[str, int]],
    *,
    now_s: Callable[[], float] = time.monotonic,
    wait_s: Callable[[float], None] = time.sleep,
) -> dict[tuple[str, int], R]:
    """Asks again for partitions that are only just being made or moved. Raises KafkaException for any other reason,
    and when it takes longer than LOOKUP_TIMEOUT_S.
    """
    found: dict[tuple[str, int], R] = {}
    give_up_s = now_s() + LOOKUP_TIMEOUT_S
    while missing := [place for place in wanted if place not in found]:
        for place, answer in ask(missing).items():
            if not isinstance(answer, KafkaException):
                found[place] = answer
            elif answer.args[0].code() not in _PASSING or now_s() >= give_up_s:
                raise answer
        if len(found) < len(wanted):
            wait_s(_PAUSE_S)
    return found
