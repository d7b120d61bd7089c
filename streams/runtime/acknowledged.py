"""Questions to brokers that have no answer for a moment, first of all: where does what has been acknowledged end?"""

from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from streams.runtime.kafka import PartitionReader

T = TypeVar("T")
_PASSES = frozenset(
    {
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.UNKNOWN_TOPIC_OR_PART,  # one that was just made
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001  # public error codes whose names have an underscore
        KafkaError._DESTROY_BROKER,  # noqa: SLF001  # as above
        KafkaError._TIMED_OUT,  # noqa: SLF001  # as above
        KafkaError._TIMED_OUT_QUEUE,  # noqa: SLF001  # as above
        KafkaError._TRANSPORT,  # noqa: SLF001  # as above
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001  # as above
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001  # as above
    }
)


def told(question: Callable[[], T]) -> T | None:
    """None while nobody can tell. Raises KafkaException on what does not pass."""
    try:
        return question()
    except KafkaException as refusal:
        error: KafkaError = refusal.args[0]
        if error.fatal() or not (error.retriable() or error.code() in _PASSES):
            raise
        return None


def acknowledged_end(reader: PartitionReader, where: TopicPartition, within_s: float) -> int:
    """To be `told`. A leader that has just taken over serves records up to where it last knew of all copies, and calls
    that the end; but who asks for the end is told only when it knows it.
    """
    return reader.get_watermark_offsets(where, within_s)[1]


def offsets_since(reader: PartitionReader, times: list[TopicPartition], within_s: float) -> list[TopicPartition]:
    """To be `told`, all of them or none. A partition whose leader could not say comes back without an offset, which
    would be taken for its end.
    """
    found = reader.offsets_for_times(times, within_s)
    for each in found:
        if each.error is not None:
            raise KafkaException(each.error)
    return found
