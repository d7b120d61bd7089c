"""What the synchronous runtime asks of its Kafka clients, and the real ones.

Whatever is behind these protocols keeps librdkafka's promises; `tests/contract/test_kafka_contract.py` says which.
Messages, positions and errors are confluent-kafka's own: they hold data and open no connection.
"""

from collections.abc import Callable
from typing import Any, Literal, Protocol

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from streams.runtime.clients import consumer_config, producer_config, reader_config
from streams.settings import KafkaSettings

OnRebalance = Callable[["GroupConsumer", list[TopicPartition]], None]
OnFailure = Callable[[KafkaError], None]
Headers = list[tuple[str, str | bytes | None]]

LINGER_MS = 50
"""Of a stage's records, which nobody waits for: when its batch is decided, `flush` sends at once what still lingers.
Deciding takes some 20 ms; with 1 ms each partition's share went in twenty requests of three records.
"""


class Polled(Protocol):
    """Both kinds of consumer."""

    def poll(self, timeout: float = ..., /) -> Message | None: ...

    def consume(self, num_messages: int = ..., timeout: float = ..., /) -> list[Message]: ...

    def assign(self, partitions: list[TopicPartition], /) -> None: ...

    def close(self) -> None: ...


class GroupConsumer(Polled, Protocol):
    """Shares its topics' partitions with the group. The callbacks run inside `poll`, `consume` and `close`."""

    def subscribe(
        self,
        topics: list[str],
        on_assign: OnRebalance | None = ...,
        on_revoke: OnRebalance | None = ...,
        on_lost: OnRebalance | None = ...,
    ) -> None: ...

    def assignment(self) -> list[TopicPartition]: ...

    def pause(self, partitions: list[TopicPartition], /) -> None: ...

    def resume(self, partitions: list[TopicPartition], /) -> None: ...

    def committed(self, partitions: list[TopicPartition], timeout: float = ..., /) -> list[TopicPartition]: ...

    def commit(self, *, offsets: list[TopicPartition], asynchronous: Literal[False]) -> list[TopicPartition]: ...


class PartitionReader(Polled, Protocol):
    """Reads partitions by hand, outside any group, with a sign at the end of each."""

    def unassign(self) -> None: ...

    def list_topics(self, topic: str, timeout: float, /) -> Any: ...

    def offsets_for_times(self, partitions: list[TopicPartition], timeout: float, /) -> list[TopicPartition]: ...

    def get_watermark_offsets(self, partition: TopicPartition, timeout: float = ...) -> tuple[int, int]: ...


class RecordProducer(Protocol):
    """`len` is the number of records that are neither acknowledged nor given up."""

    def produce(
        self, topic: str, value: bytes | None, key: bytes | None, partition: int, *, timestamp: int, headers: Headers
    ) -> None: ...

    def poll(self, timeout: float, /) -> int: ...

    def flush(self, timeout: float, /) -> int: ...

    def __len__(self) -> int: ...


class Clients(Protocol):
    """Makes the clients of one process."""

    def group_consumer(self, stage: str) -> GroupConsumer: ...

    def reader(self, *, fetch_wait_ms: int | None = None) -> PartitionReader:
        """An empty partition says so only when the broker gives up waiting for records, after `fetch_wait_ms`."""
        ...

    def producer(self, stage: str, on_failure: OnFailure) -> RecordProducer:
        """`on_failure` hears of each record that is given up, inside `poll` and `flush`."""
        ...


class ConfluentClients:
    """librdkafka's, set up by `streams.runtime.clients`."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka

    def group_consumer(self, stage: str) -> GroupConsumer:
        return Consumer(consumer_config(self._kafka, stage))

    def reader(self, *, fetch_wait_ms: int | None = None) -> PartitionReader:
        config = reader_config(self._kafka)
        return Consumer(config if fetch_wait_ms is None else {**config, "fetch.wait.max.ms": fetch_wait_ms})

    def producer(self, stage: str, on_failure: OnFailure) -> RecordProducer:
        def on_delivery(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                on_failure(error)

        config = {**producer_config(self._kafka, stage), "linger.ms": LINGER_MS, "on_delivery": on_delivery}
        return Producer(config)
