"""Reading a partition's table back before its first event is decided."""

from collections.abc import Callable, Sequence

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from streams.observe.logs import logger
from streams.runtime.clients import reader_config
from streams.runtime.delivery import Delivery
from streams.runtime.messages import END_OF_PARTITION, delivery_of
from streams.settings import KafkaSettings

log = logger(__name__)
LOOKUP_TIMEOUT_S = 30.0


class TableReader:
    """A consumer outside any group, kept for the worker's lifetime."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._consumer = Consumer(reader_config(kafka))

    def read(self, topic: str, partition: int, since_ms: int | None, apply: Callable[[Delivery], None]) -> int:
        """Hands every record from `since_ms` (None: the beginning) to the current end to `apply`.

        Returns the offset after the last one. Raises KafkaException when the partition cannot be read.
        """
        where = TopicPartition(topic, partition, self._start(topic, partition, since_ms))
        self._consumer.assign([where])
        count = 0
        try:
            while True:
                for message in self._consumer.consume(5_000, 1.0):
                    error = message.error()
                    if error is None:
                        apply(delivery_of(message))
                        count += 1
                    elif error.code() == END_OF_PARTITION:
                        log.info("restored", topic=topic, partition=partition, records=count)
                        return message.offset() or 0
                    elif not error.retriable():
                        raise KafkaException(error)
        finally:
            self._consumer.unassign()

    def oldest_unfinished_ms(self, starts: Sequence[TopicPartition]) -> int | None:
        """When the first event that will be taken was written, over several partitions; None where all are at their
        end. A position never committed counts from the partition's beginning.
        """
        times = [
            self._timestamp_at(where.topic, where.partition, where.offset if where.offset >= 0 else OFFSET_BEGINNING)
            for where in starts
        ]
        return min((time for time in times if time is not None), default=None)

    def _timestamp_at(self, topic: str, partition: int, offset: int) -> int | None:
        """When the record at `offset`, or the next one there is, was written; None at the partition's end."""
        self._consumer.assign([TopicPartition(topic, partition, offset)])
        try:
            while True:
                for message in self._consumer.consume(1, 1.0):
                    error = message.error()
                    if error is None:
                        return message.timestamp()[1]
                    if error.code() == END_OF_PARTITION:
                        return None
                    if not error.retriable():
                        raise KafkaException(error)
        finally:
            self._consumer.unassign()

    def _start(self, topic: str, partition: int, since_ms: int | None) -> int:
        if since_ms is None:
            return OFFSET_BEGINNING
        (found,) = self._consumer.offsets_for_times(
            [TopicPartition(topic, partition, max(since_ms, 0))], LOOKUP_TIMEOUT_S
        )
        return found.offset

    def close(self) -> None:
        self._consumer.close()
