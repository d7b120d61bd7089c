"""Where what has been acknowledged ends."""

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from streams.runtime.kafka import PartitionReader

_NOT_YET = frozenset(
    {
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError._TIMED_OUT,  # noqa: SLF001  # public error codes whose names have an underscore
        KafkaError._TRANSPORT,  # noqa: SLF001  # as above
    }
)


def acknowledged_end(reader: PartitionReader, where: TopicPartition, within_s: float) -> int | None:
    """None while nobody can tell. A leader that has just taken over serves records up to where it last knew of all
    copies, and calls that the end; but who asks for the end is told only when it knows it.

    Raises KafkaException on what does not pass.
    """
    try:
        return reader.get_watermark_offsets(where, within_s)[1]
    except KafkaException as refusal:
        error: KafkaError = refusal.args[0]
        if error.fatal() or not (error.retriable() or error.code() in _NOT_YET):
            raise
        return None
