"""What the predecessors of a worker on its partitions left: what they completed, and what they still call for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import TopicPartition

from schemas.flow import Completion, HandedOver
from schemas.topics import COMPLETIONS, HANDOVERS
from schemas.wire import DecodeError
from streams.observe.logs import logger
from streams.runtime.delivery import Delivery
from streams.runtime.restore import TableReader
from streams.settings import KafkaSettings

log = logger(__name__)
SKEW_MS = 60_000
"""A handover is younger than the event it is about, give or take what clocks differ."""


@dataclass(frozen=True, slots=True)
class Learned:
    """`ends`: from where on news of the same partitions is still to be read."""

    completed: tuple[str, ...] = ()
    handed_over: tuple[HandedOver, ...] = ()
    ends: tuple[TopicPartition, ...] = ()


def relearn(
    reader: TableReader,
    kafka: KafkaSettings,
    starts: Sequence[TopicPartition],
    now_ms: int,
    window_ms: int,
) -> Learned:
    """All that may matter for what is delivered from `starts` on. Where nothing waits to be taken there is nothing that
    could have been handed over, and nothing is read of it. Blocks.
    """
    if not starts:
        return Learned()
    completed: list[str] = []
    handed_over: list[HandedOver] = []

    def learn(record: Delivery) -> None:
        event = news_of(record, kafka)
        if isinstance(event, Completion):
            completed.append(event.round_name)
        elif event is not None:
            handed_over.append(event)

    oldest_ms = reader.oldest_unfinished_ms(starts)
    partitions = {start.partition for start in starts}
    since_ms = {p: min(oldest_ms.get(p, now_ms), now_ms) - window_ms for p in partitions}
    ends = _positions(kafka.topic(COMPLETIONS), reader.read(kafka.topic(COMPLETIONS), since_ms, learn))
    if oldest_ms:
        handed_ms = {p: oldest - SKEW_MS for p, oldest in oldest_ms.items()}
        ends += _positions(kafka.topic(HANDOVERS), reader.read(kafka.topic(HANDOVERS), handed_ms, learn))
    return Learned(tuple(completed), tuple(handed_over), ends)


def news_of(record: Delivery, kafka: KafkaSettings) -> Completion | HandedOver | None:
    """None for what cannot be read."""
    try:
        if record.topic == kafka.topic(HANDOVERS):
            return HandedOver.decode(record.value or b"")
        return Completion.decode(record.value or b"")
    except DecodeError:  # `postprocess` keeps a completion in the dead letters
        log.error("news_unreadable", topic=record.topic, partition=record.partition, offset=record.offset)
        return None


def _positions(topic: str, ends: Mapping[int, int]) -> tuple[TopicPartition, ...]:
    return tuple(TopicPartition(topic, partition, offset) for partition, offset in ends.items())
