"""The broker's side of a test: topics of its own, records written and read back, and what a group has committed."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from schemas.base import Event
from schemas.partition import partition_for
from schemas.topics import Topic
from scripts.stack.readiness import holds_within
from streams.runtime.clients import admin_config, producer_config, reader_config
from streams.runtime.cluster import wanted
from streams.runtime.delivery import Delivery
from streams.runtime.messages import END_OF_PARTITION, delivery_of
from streams.settings import KafkaSettings

WITHIN_S = 25.0
MOVING = (KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE)
"""What a broker says while it takes up the group."""
E = TypeVar("E", bound=Event)


class KafkaLog:
    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._admin = self._new_admin()
        self._producer = Producer(producer_config(kafka, "test"))
        # partitions that are empty say so at once
        self._reader = Consumer({**reader_config(kafka), "fetch.wait.max.ms": 10})
        self._created: list[str] = []

    def _new_admin(self) -> Any:
        """The client's stubs leave the types of its futures' results open."""
        return AdminClient(admin_config(self._kafka))

    def create(self, *topics: Topic, config: Mapping[str, str] | None = None) -> None:
        """`config` overrides what the topics are to be like."""
        wants = [wanted(topic, self._kafka) for topic in topics]
        new = [
            NewTopic(w.name, num_partitions=w.partitions, replication_factor=1, config={**w.config, **(config or {})})
            for w in wants
        ]
        self._done(self._admin.create_topics(new, operation_timeout=WITHIN_S))
        self._created += [want.name for want in wants]
        ends = {TopicPartition(w.name, p): OffsetSpec.latest() for w in wants for p in range(w.partitions)}

        def are_led() -> bool:
            # a client that comes too early does not notice for seconds, or minutes; while it is asked it must be kept
            client = self._new_admin()
            asked = client.list_offsets(ends, request_timeout=0.3)
            return not any(future.exception(WITHIN_S) for future in asked.values())

        assert holds_within(WITHIN_S, are_led), "the new partitions have no leader"

    def write(
        self,
        topic: Topic,
        value: bytes | Event | None,
        *,
        key: str | None = None,
        partition: int | None = None,
        partition_by: str | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        timestamp_ms: int = 0,
    ) -> None:
        """Without a partition, on that of `partition_by`, or else of the key, or else on 0; without a timestamp, now.
        Call `flush` when all is written.
        """
        if partition is None:
            by = partition_by or key
            spread = by is not None and topic.partitions == "all"
            partition = partition_for((by or "").encode(), self._kafka.partitions) if spread else 0
        raw = value.encode() if isinstance(value, Event) else value
        self._producer.produce(
            self._kafka.topic(topic), raw, key, partition, headers=[*headers], timestamp=timestamp_ms
        )

    def flush(self) -> None:
        assert self._producer.flush(WITHIN_S) == 0

    def read(self, topic: Topic) -> list[Delivery]:
        """All that is on the topic now, partition by partition."""
        name = self._kafka.topic(topic)
        partitions = wanted(topic, self._kafka).partitions
        self._reader.list_topics(name)  # a client that is told of a topic finds it a second sooner
        self._reader.assign([TopicPartition(name, p, OFFSET_BEGINNING) for p in range(partitions)])
        records: list[Delivery] = []
        ended: set[int | None] = set()

        def at_the_end() -> bool:
            for message in self._reader.consume(1_000, 0.02):
                error = message.error()
                if error is None:
                    records.append(delivery_of(message))
                elif error.code() == END_OF_PARTITION:
                    ended.add(message.partition())
            return len(ended) == partitions

        assert holds_within(WITHIN_S, at_the_end), f"{name} could not be read"
        self._reader.unassign()
        return sorted(records, key=lambda record: (record.partition, record.offset))

    def read_until(self, topic: Topic, there: Callable[[list[Delivery]], bool]) -> list[Delivery]:
        """All that is on the topic when `there` first holds for it."""
        records: list[Delivery] = []

        def holds() -> bool:
            records[:] = self.read(topic)
            return there(records)

        assert holds_within(WITHIN_S, holds), f"{topic.name} has only {len(records)} records"
        return records

    def read_count(self, topic: Topic, count: int) -> list[Delivery]:
        """All that is on the topic when at least so many records are."""
        return self.read_until(topic, lambda records: len(records) >= count)

    def events(self, topic: Topic, kind: type[E]) -> list[E]:
        return [kind.decode(record.value or b"") for record in self.read(topic)]

    def end(self, topic: Topic) -> int:
        """The next offset of partition 0."""
        _, end = self._reader.get_watermark_offsets(TopicPartition(self._kafka.topic(topic), 0), WITHIN_S)
        return end

    def committed(self, stage: str, topic: Topic) -> dict[int, int]:
        """By partition; none for partitions never committed."""
        found = self._groups(stage, [TopicPartition(self._kafka.topic(topic), p) for p in range(self._partitions)])
        return {where.partition: where.offset for where in found if where.offset >= 0}

    def await_committed(self, stage: str, topic: Topic, offsets: Mapping[int, int]) -> None:
        """A commit of a partition's beginning says no more than none: it proves that its worker is in the group."""

        def moved() -> dict[int, int]:
            return {partition: offset for partition, offset in self.committed(stage, topic).items() if offset > 0}

        assert holds_within(WITHIN_S, lambda: moved() == offsets), moved()

    def await_finished(self, stage: str, topic: Topic, count: int) -> None:
        """Until so many events of the topic, all partitions together, are committed."""
        assert holds_within(WITHIN_S, lambda: sum(self.committed(stage, topic).values()) == count), self.committed(
            stage, topic
        )

    def rewind(self, stage: str, topic: Topic, offsets: Mapping[int, int]) -> None:
        """Sets back what a group has committed, as if it had died before that commit. The group must be empty."""
        where = [TopicPartition(self._kafka.topic(topic), p, at) for p, at in offsets.items()]
        request = [ConsumerGroupTopicPartitions(self._kafka.group(stage), where)]
        self._done(self._admin.alter_consumer_group_offsets(request))

    def members(self, stage: str) -> int:
        group = self._kafka.group(stage)
        described = self._done(self._admin.describe_consumer_groups([group]))
        return len(described[group].members)

    def close(self) -> None:
        """The shared broker keeps nothing of this test."""
        self._reader.close()
        if self._created:
            self._done(self._admin.delete_topics(self._created))

    @property
    def _partitions(self) -> int:
        return self._kafka.partitions

    def _groups(self, stage: str, where: list[TopicPartition]) -> list[TopicPartition]:
        # not by the admin client: librdkafka crashes when a coordinator that has just come up tells it to wait
        asking = Consumer({**reader_config(self._kafka), "group.id": self._kafka.group(stage)})
        found: list[TopicPartition] = []

        def is_told() -> bool:
            try:
                found[:] = asking.committed(where, WITHIN_S)
            except KafkaException as problem:
                if problem.args[0].code() not in MOVING:
                    raise
            return bool(found)

        try:
            assert holds_within(WITHIN_S, is_told), f"nobody tells what {stage} has committed"
        finally:
            asking.close()
        return found

    def _done(self, futures: Mapping[Any, Future[Any]]) -> dict[Any, Any]:
        return {name: future.result(WITHIN_S) for name, future in futures.items()}
