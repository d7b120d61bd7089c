"""How many records a topic has been given: what a stage has passed on, without reading it."""

import time
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

_WITHIN_S: Final = 30.0
_PASSING: Final = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError._TIMED_OUT,  # noqa: SLF001  # librdkafka's own errors have such names
    KafkaError._TRANSPORT,  # noqa: SLF001  # as above
)


class Ends:
    """Use as a context manager. Counts are exact where nothing is compacted away and nothing transactional."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._client = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "bench-ends"})

    def count(self, topic: str) -> int:
        """Raises KafkaException when no broker answers."""
        deadline_s = time.monotonic() + _WITHIN_S
        while True:
            try:
                return self._count(topic)
            except KafkaException as error:
                # a leader that has just been elected, or is too busy: it is there a moment later
                if not _is_passing(error) or time.monotonic() > deadline_s:
                    raise

    def _count(self, topic: str) -> int:
        partitions = self._client.list_topics(topic, _WITHIN_S).topics[topic].partitions
        return sum(self._client.get_watermark_offsets(TopicPartition(topic, each), _WITHIN_S)[1] for each in partitions)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        with suppress(KafkaException):
            self._client.close()


def _is_passing(error: KafkaException) -> bool:
    cause = error.args[0]
    return isinstance(cause, KafkaError) and cause.code() in _PASSING
