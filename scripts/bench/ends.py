"""How many records a topic has been given: what a stage has passed on, without reading it."""

from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from confluent_kafka import Consumer, KafkaException, TopicPartition

_WITHIN_S: Final = 30.0


class Ends:
    """Use as a context manager. Counts are exact where nothing is compacted away and nothing transactional."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._client = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "bench-ends"})

    def count(self, topic: str) -> int:
        """Raises KafkaException when no broker answers."""
        partitions = self._client.list_topics(topic, _WITHIN_S).topics[topic].partitions
        return sum(self._client.get_watermark_offsets(TopicPartition(topic, each), _WITHIN_S)[1] for each in partitions)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        with suppress(KafkaException):
            self._client.close()
