"""What the runtime relies on of its Kafka clients; the cluster in memory keeps it as the real one does."""

from collections.abc import Callable, Iterator
from itertools import count
from secrets import token_hex

import pytest
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, KafkaError, KafkaException, Message, TopicPartition

from schemas.topics import CALLS, COMPLETIONS, MISSES
from streams.runtime import kafka as kafka_clients
from streams.runtime.kafka import GroupConsumer, PartitionReader, Polled, RecordProducer
from streams.runtime.messages import END_OF_PARTITION, delivery_of
from streams.settings import KafkaSettings
from tests.contract.kafka_worlds import InMemory, OnABroker, World

POLLS = 600
POLL_S = 0.05
LONG_S = 30.0
STAGE = "route"


@pytest.fixture(params=["in memory", pytest.param("broker", marks=pytest.mark.integration)])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    made: World
    if request.param == "in memory":
        made = InMemory()
    else:
        kafka: KafkaSettings = request.getfixturevalue("kafka")
        made = OnABroker(kafka)
    yield made
    made.close()


class Writer:
    """A producer, and what it was told of records that were given up."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.failures: list[int] = []
        self.producer: RecordProducer = world.clients.producer(STAGE, lambda error: self.failures.append(error.code()))

    def write(self, topic: str, *values: str, partition: int = 0, age_ms: int = 0) -> None:
        for value in values:
            dated_ms = self._world.now_ms() - age_ms
            self.producer.produce(
                topic, value.encode(), b"key", partition, timestamp=dated_ms, headers=[("ce_id", b"1")]
            )

    def flush(self) -> int:
        return self.producer.flush(LONG_S)


class Reading:
    """What a consumer has handed out. `ends` are the offsets of the partition ends it has told."""

    def __init__(self, consumer: Polled) -> None:
        self.consumer = consumer
        self.messages: list[Message] = []
        self.ends: list[int | None] = []

    def poll(self) -> None:
        message = self.consumer.poll(POLL_S)
        if message is None:
            return
        error = message.error()
        if error is None:
            self.messages.append(message)
        elif error.code() == END_OF_PARTITION:
            self.ends.append(message.offset())

    def until(self, holds: Callable[[], bool]) -> None:
        for _ in range(POLLS):
            if holds():
                return
            self.poll()
        pytest.fail(f"it did not come to be; read {self.values}")

    @property
    def values(self) -> list[str]:
        return [(message.value() or b"").decode() for message in self.messages]


class Member:
    """One of a group, and what its callbacks were told, in order."""

    def __init__(self, world: World, *topics: str, starts: dict[int, int] | None = None) -> None:
        self.consumer: GroupConsumer = world.clients.group_consumer(STAGE)
        self.reading = Reading(self.consumer)
        self.told: list[tuple[str, list[tuple[str, int]]]] = []
        self.commits_when_revoked: list[TopicPartition] = []
        self._starts = starts or {}
        self.consumer.subscribe([*topics], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)

    def _assigned(self, consumer: GroupConsumer, partitions: list[TopicPartition]) -> None:
        self._note("assigned", partitions)
        for where in partitions:
            where.offset = self._starts.get(where.partition, where.offset)
        consumer.assign(partitions)

    def _revoked(self, consumer: GroupConsumer, partitions: list[TopicPartition]) -> None:
        self._note("revoked", partitions)
        if self.commits_when_revoked:
            consumer.commit(offsets=self.commits_when_revoked, asynchronous=False)

    def _lost(self, _consumer: GroupConsumer, partitions: list[TopicPartition]) -> None:
        self._note("lost", partitions)

    def _note(self, what: str, partitions: list[TopicPartition]) -> None:
        self.told.append((what, sorted((where.topic, where.partition) for where in partitions)))

    @property
    def owns(self) -> list[tuple[str, int]]:
        return self.told[-1][1] if self.told and self.told[-1][0] == "assigned" else []

    def commit(self, topic: str, partition: int, offset: int) -> None:
        self.consumer.commit(offsets=[TopicPartition(topic, partition, offset)], asynchronous=False)

    def committed(self, topic: str, partition: int = 0) -> int:
        (found,) = self.consumer.committed([TopicPartition(topic, partition)], LONG_S)
        return found.offset


def together(*members: Member, until: Callable[[], bool]) -> None:
    """All of them poll in turn."""
    for _ in range(POLLS):
        if until():
            return
        for member in members:
            member.reading.poll()
    pytest.fail(f"it did not come to be; told {[member.told for member in members]}")


def reader(world: World, topic: str, *, offset: int = OFFSET_BEGINNING) -> tuple[PartitionReader, Reading]:
    consumer = world.clients.reader(fetch_wait_ms=20)
    consumer.list_topics(topic, LONG_S)
    consumer.assign([TopicPartition(topic, 0, offset)])
    return consumer, Reading(consumer)


def test_what_one_producer_writes_is_read_in_order_as_it_was_written(world: World) -> None:
    topic = world.create(COMPLETIONS)
    writer = Writer(world)
    writer.write(topic, *map(str, range(50)), age_ms=1_000)
    assert writer.flush() == 0
    assert len(writer.producer) == 0

    consumer, reading = reader(world, topic)
    reading.until(lambda: len(reading.messages) == 50)
    consumer.close()

    assert reading.values == [str(number) for number in range(50)]
    last = delivery_of(reading.messages[-1])
    assert (last.topic, last.partition, last.offset) == (topic, 0, 49)
    assert (last.key, last.headers) == (b"key", (("ce_id", b"1"),))
    assert 1_000 <= world.now_ms() - last.timestamp_ms < 60_000


def test_a_flush_waits_for_no_record_to_have_company(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    linger_ms = world.kafka.delivery_timeout_ms
    monkeypatch.setattr(kafka_clients, "LINGER_MS", linger_ms)
    topic = world.create(COMPLETIONS)
    writer = Writer(world)
    writer.write(topic, "alone")

    assert writer.producer.flush(linger_ms / 2_000) == 0


def test_a_record_too_large_for_its_topic_is_given_up_and_its_neighbours_are_written(world: World) -> None:
    topic = world.create(COMPLETIONS, {"max.message.bytes": "4000"})
    writer = Writer(world)
    incompressible = token_hex(100_000)  # brokers look at what is left of it
    for value in ("before", incompressible, "after"):
        writer.write(topic, value)
        assert writer.flush() == 0
    assert writer.failures == [KafkaError.MSG_SIZE_TOO_LARGE]

    consumer, reading = reader(world, topic)
    reading.until(lambda: bool(reading.ends))
    consumer.close()
    assert reading.values == ["before", "after"]


def test_a_fenced_topic_takes_what_was_decided_just_now_and_nothing_older_than_the_delivery_timeout(
    world: World,
) -> None:
    topic = world.create(MISSES)
    writer = Writer(world)
    writer.write(topic, "now")
    assert writer.flush() == 0
    writer.write(topic, "long ago", age_ms=world.kafka.delivery_timeout_ms + 1_000)
    assert writer.flush() == 0
    assert writer.failures == [KafkaError.INVALID_TIMESTAMP]

    consumer, reading = reader(world, topic)
    reading.until(lambda: bool(reading.ends))
    consumer.close()
    assert reading.values == ["now"]


def test_the_end_of_a_partition_is_told_each_time_it_is_reached(world: World) -> None:
    topic = world.create(COMPLETIONS)
    consumer, reading = reader(world, topic)
    reading.until(lambda: reading.ends == [0])

    writer = Writer(world)
    writer.write(topic, "a", "b")
    assert writer.flush() == 0
    reading.until(lambda: reading.ends[-1:] == [2])
    consumer.close()
    assert reading.values == ["a", "b"]


def test_reading_starts_where_it_is_told_to(world: World) -> None:
    topic = world.create(COMPLETIONS)
    writer = Writer(world)
    writer.write(topic, "a", "b", "c")
    assert writer.flush() == 0

    consumer, reading = reader(world, topic, offset=1)
    reading.until(lambda: bool(reading.ends))
    assert reading.values == ["b", "c"]

    consumer.unassign()
    assert consumer.poll(POLL_S) is None
    consumer.assign([TopicPartition(topic, 0, 2)])
    again = Reading(consumer)
    again.until(lambda: bool(again.ends))
    consumer.close()
    assert again.values == ["c"]


def test_times_are_told_as_the_first_offset_that_is_not_older_and_watermarks_as_what_there_is(world: World) -> None:
    topic = world.create(COMPLETIONS)
    writer = Writer(world)
    now_ms = world.now_ms()
    for age_ms in (30_000, 20_000, 10_000):
        writer.write(topic, "x", age_ms=age_ms)
    assert writer.flush() == 0
    consumer, _ = reader(world, topic)

    def first_since(age_ms: int) -> int:
        (found,) = consumer.offsets_for_times([TopicPartition(topic, 0, now_ms - age_ms)], LONG_S)
        return found.offset

    assert [first_since(age_ms) for age_ms in (60_000, 25_000, 15_000, -60_000)] == [0, 1, 2, OFFSET_END]
    assert consumer.get_watermark_offsets(TopicPartition(topic, 0), LONG_S) == (0, 3)
    consumer.close()


def test_who_comes_to_a_group_first_gets_everything_from_where_it_was_left(world: World) -> None:
    topic = world.create(COMPLETIONS)
    writer = Writer(world)
    writer.write(topic, "a", "b", "c")
    assert writer.flush() == 0

    first = Member(world, topic)
    first.reading.until(lambda: first.reading.values == ["a", "b", "c"])
    assert first.told == [("assigned", [(topic, 0), (topic, 1)])]
    assert first.committed(topic) < 0
    first.commit(topic, 0, 2)
    assert first.committed(topic) == 2
    first.consumer.close()
    assert first.told[1:] == [("revoked", [(topic, 0), (topic, 1)])]

    second = Member(world, topic)
    second.reading.until(lambda: bool(second.reading.values))
    assert second.committed(topic) == 2
    second.consumer.close()
    assert second.reading.values == ["c"]


def test_an_assignment_starts_where_the_member_says(world: World) -> None:
    topic = world.create(COMPLETIONS)
    writer = Writer(world)
    writer.write(topic, "a", "b", "c")
    assert writer.flush() == 0
    member = Member(world, topic, starts={0: 1})
    member.reading.until(lambda: member.reading.values == ["b", "c"])
    member.consumer.close()


def test_a_second_member_gets_the_same_partition_of_every_topic_and_the_first_may_still_commit_as_it_lets_go(
    world: World,
) -> None:
    topics = [world.create(COMPLETIONS), world.create(CALLS)]
    first = Member(world, *topics)
    first.reading.until(lambda: bool(first.owns))
    first.commits_when_revoked = [TopicPartition(topics[0], 1, 7)]

    second = Member(world, *topics)
    together(first, second, until=lambda: len(first.owns) == len(second.owns) == 2)

    everything = sorted((topic, partition) for topic in topics for partition in (0, 1))
    assert first.told[:2] == [("assigned", everything), ("revoked", everything)]
    assert sorted(first.owns + second.owns) == everything
    assert {partition for _, partition in first.owns} != {partition for _, partition in second.owns}
    assert second.committed(topics[0], 1) == 7
    first.commits_when_revoked = []
    for member in (first, second):
        member.consumer.close()


def test_who_leaves_is_not_waited_for(world: World) -> None:
    topic = world.create(COMPLETIONS)
    first, second = Member(world, topic), Member(world, topic)
    together(first, second, until=lambda: len(first.owns) == len(second.owns) == 1)
    first.consumer.close()
    began_ms = world.now_ms()
    second.reading.until(lambda: len(second.owns) == 2)
    assert world.now_ms() - began_ms < world.kafka.session_timeout_ms
    second.consumer.close()


def test_who_was_put_out_of_the_group_cannot_commit_and_is_told_to_let_go(world: World) -> None:
    topic = world.create(COMPLETIONS)
    frozen = Member(world, topic)
    frozen.reading.until(lambda: bool(frozen.owns))
    frozen.commit(topic, 0, 1)

    second = Member(world, topic)
    second.reading.until(lambda: len(second.owns) == 2)
    second.commit(topic, 0, 5)
    with pytest.raises(KafkaException) as refused:
        frozen.commit(topic, 0, 2)
    assert refused.value.args[0].code() in {
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError._ASSIGNMENT_LOST,
    }
    assert second.committed(topic) == 5

    together(frozen, second, until=lambda: len(frozen.told) > 1)
    what, partitions = frozen.told[1]
    # announced as an ordinary rebalance while it was still in, the loss may be told as one
    assert what in {"revoked", "lost"}
    assert partitions == [(topic, 0), (topic, 1)]
    for member in (frozen, second):
        member.consumer.close()


def test_a_pause_hands_out_what_had_been_fetched_at_most_and_loses_and_repeats_nothing(world: World) -> None:
    topic = world.create(COMPLETIONS)
    numbers = count()
    writer = Writer(world)

    def write(records: int) -> None:
        writer.write(topic, *(str(next(numbers)) for _ in range(records)))
        assert writer.flush() == 0

    write(10)
    member = Member(world, topic)
    member.reading.until(lambda: len(member.reading.messages) >= 3)
    paused = [TopicPartition(topic, 0)]
    member.consumer.pause(paused)
    write(10)
    for _ in range(20):
        member.reading.poll()
    assert len(member.reading.messages) <= 10

    member.consumer.resume(paused)
    member.reading.until(lambda: len(member.reading.messages) >= 20)
    assert member.reading.values == [str(number) for number in range(20)]
    member.consumer.close()


def test_a_batch_is_what_has_come_by_then(world: World) -> None:
    topic = world.create(COMPLETIONS)
    writer = Writer(world)
    writer.write(topic, "a", "b", "c")
    assert writer.flush() == 0
    consumer, reading = reader(world, topic)
    reading.until(lambda: bool(reading.messages))
    batch: list[Message] = []
    for _ in range(POLLS):
        batch += consumer.consume(10, POLL_S)
        if any(message.error() is not None for message in batch):
            break
    consumer.close()
    assert [message.value() for message in batch if message.error() is None] == [b"b", b"c"]
