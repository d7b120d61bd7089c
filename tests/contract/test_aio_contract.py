"""What `invoke` relies on of aiokafka's clients; those on the cluster in memory keep it as the real ones do."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, InvalidTimestampError

from schemas.topics import CALLS, COMPLETIONS, MISSES, Topic
from streams.settings import KafkaSettings
from tests.contract.aio_worlds import AioInMemory, AioOnABroker, AioWorld

WITHIN_S = 60.0
LOOK_S = 0.05
NOTHING_COMES_WITHIN_S = 0.5
Fetched = dict[TopicPartition, list[Any]]
HEADERS = [("ce_id", b"1")]


@pytest.fixture(params=["in memory", pytest.param("broker", marks=pytest.mark.integration)])
def world(request: pytest.FixtureRequest) -> Iterator[AioWorld]:
    made: AioWorld
    if request.param == "in memory":
        made = AioInMemory()
    else:
        kafka: KafkaSettings = request.getfixturevalue("kafka")
        made = AioOnABroker(kafka)
    yield made
    made.close()


async def comes_true(holds: Callable[[], bool]) -> None:
    """Within a minute, looked at whenever the loop has done what it had to, at the latest after `LOOK_S`."""
    async with asyncio.timeout(WITHIN_S):
        while not holds():
            await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=LOOK_S)


def untyped(client: AIOKafkaConsumer | AIOKafkaProducer) -> Any:
    """Aiokafka leaves open what its records and results are."""
    return client


def coordinator(member: "Member") -> Any:
    """There is no other way to ask aiokafka to join again."""
    return untyped(member.consumer)._coordinator


async def _at_once() -> None:
    """Nothing to do before the partitions may go, or come."""


class Member(ConsumerRebalanceListener):
    """One of a group. `told` is what its listener heard, in order; `letting_go` and `taking` run before it returns."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self.consumer = consumer
        self.told: list[tuple[str, list[int]]] = []
        self.letting_go: Callable[[], Awaitable[None]] = _at_once
        self.taking: Callable[[], Awaitable[None]] = _at_once
        self.values: list[str] = []

    # aiokafka awaits what its listener returns; its own annotations know only the synchronous kind
    async def on_partitions_revoked(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, revoked: Collection[TopicPartition]
    ) -> None:
        self.told.append(("revoked", sorted(where.partition for where in revoked)))
        await self.letting_go()
        self.told.append(("let go", []))

    async def on_partitions_assigned(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, assigned: Collection[TopicPartition]
    ) -> None:
        self.told.append(("assigned", sorted(where.partition for where in assigned)))
        await self.taking()
        self.told.append(("taken", []))

    @property
    def owns(self) -> list[int]:
        """Once it has been told so to the end."""
        return self.told[-2][1] if self.told and self.told[-1][0] == "taken" else []

    async def read(self, *partitions: TopicPartition, until: int, max_records: int = 100) -> None:
        async with asyncio.timeout(WITHIN_S):
            while len(self.values) < until:
                fetched = await untyped(self.consumer).getmany(*partitions, timeout_ms=50, max_records=max_records)
                for records in cast("Fetched", fetched).values():
                    assert len(records) <= max_records
                    self.values += [record.value.decode() for record in records]


@asynccontextmanager
async def joined(world: AioWorld, *topics: str) -> AsyncGenerator[Member]:
    member = Member(world.consumer())
    await member.consumer.start()
    try:
        member.consumer.subscribe(list(topics), listener=member)
        yield member
    finally:
        await member.consumer.stop()


@asynccontextmanager
async def writing(world: AioWorld) -> AsyncGenerator[AIOKafkaProducer]:
    producer = world.producer()
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def send(producer: AIOKafkaProducer, topic: str, value: str, partition: int = 0) -> asyncio.Future[Any]:
    return await untyped(producer).send(topic, value.encode(), b"key", partition, headers=HEADERS)


async def write(producer: AIOKafkaProducer, topic: str, *values: str, partition: int = 0) -> list[int]:
    """Returns their offsets."""
    sent = [await send(producer, topic, value, partition) for value in values]
    return [metadata.offset for metadata in await asyncio.gather(*sent)]


def of(topic: str, *partitions: int) -> list[TopicPartition]:
    return [TopicPartition(topic, partition) for partition in partitions]


def prepared(world: AioWorld, topic: Topic = COMPLETIONS) -> str:
    return world.create(topic)


def test_what_is_sent_resolves_with_its_offset_and_is_read_in_the_order_of_its_partition(world: AioWorld) -> None:
    topic = prepared(world)

    async def body() -> None:
        async with writing(world) as producer, joined(world, topic) as member:
            assert await write(producer, topic, *map(str, range(30))) == list(range(30))
            assert await write(producer, topic, "other", partition=1) == [0]
            metadata = await (await send(producer, topic, "last"))
            assert (metadata.topic, metadata.partition, metadata.offset) == (topic, 0, 30)
            await comes_true(lambda: member.owns == [0, 1])
            await member.read(*of(topic, 0), until=31)
            assert member.values == [*map(str, range(30)), "last"]

    world.run(body())


def test_a_partition_that_is_not_asked_for_keeps_its_records_and_no_more_come_than_asked_for(world: AioWorld) -> None:
    topic = prepared(world)

    async def body() -> None:
        async with writing(world) as producer, joined(world, topic) as member:
            await write(producer, topic, "a", "b", "c")
            await write(producer, topic, "x", "y", partition=1)
            await comes_true(lambda: member.owns == [0, 1])
            await member.read(*of(topic, 1), until=1, max_records=1)
            assert member.values == ["x"]
            await member.read(*of(topic, 0), until=4, max_records=2)
            assert member.values == ["x", "a", "b", "c"]
            await member.read(*of(topic, 0, 1), until=5)
            assert member.values == ["x", "a", "b", "c", "y"]

    world.run(body())


def test_reading_begins_where_the_group_left_off_and_goes_on_where_it_is_told_to(world: AioWorld) -> None:
    topic = prepared(world)
    (where,) = of(topic, 0)

    async def body() -> None:
        async with writing(world) as producer:
            await write(producer, topic, "a", "b", "c")
        async with joined(world, topic) as first:
            await comes_true(lambda: first.owns == [0, 1])
            assert await first.consumer.committed(where) is None
            await first.consumer.commit({where: 2})
            assert await first.consumer.committed(where) == 2
            assert await first.consumer.end_offsets(of(topic, 0, 1)) == {where: 3, TopicPartition(topic, 1): 0}
        async with joined(world, topic) as second:
            await second.read(where, until=1)
            second.consumer.seek(where, 1)
            await second.read(where, until=3)
            assert second.values == ["c", "b", "c"]

    world.run(body())


def test_the_listener_is_told_to_let_go_before_it_is_given_anything_and_each_is_awaited(world: AioWorld) -> None:
    topics = [world.create(COMPLETIONS), world.create(CALLS)]

    async def body() -> None:
        async with joined(world, *topics) as first:
            await comes_true(lambda: first.owns == [0, 0, 1, 1])
            assert first.told[:2] == [("revoked", []), ("let go", [])]
            told = len(first.told)
            (where,) = of(topics[0], 1)

            async def commit() -> None:
                await first.consumer.commit({where: 7})
                assert await first.consumer.committed(where) == 7

            first.letting_go = commit
            async with joined(world, *topics) as second:
                await comes_true(lambda: len(first.owns) == len(second.owns) == 2)
                assert first.told[told : told + 2] == [("revoked", [0, 0, 1, 1]), ("let go", [])]
                assert sorted(first.owns + second.owns) == [0, 0, 1, 1]
                assert set(first.owns) != set(second.owns)
                assert await second.consumer.committed(where) == 7
                first.letting_go = _at_once

    world.run(body())


def test_who_stops_leaves_the_group_which_does_not_wait_for_it(world: AioWorld) -> None:
    topic = prepared(world)

    async def body() -> None:
        async with joined(world, topic) as second:
            async with joined(world, topic) as first:
                await comes_true(lambda: len(first.owns) == len(second.owns) == 1)
                told = len(first.told)
            assert len(first.told) == told  # nobody tells it that it lets go
            began_ms = world.now_ms()
            await comes_true(lambda: second.owns == [0, 1])
            assert world.now_ms() - began_ms < world.kafka.session_timeout_ms

    world.run(body())


def test_while_partitions_are_taken_away_nothing_is_handed_out_whatever_the_timeout(world: AioWorld) -> None:
    topic = prepared(world)

    async def body() -> None:
        async with writing(world) as producer, joined(world, topic) as first:
            await comes_true(lambda: first.owns == [0, 1])
            may_go = asyncio.Event()

            async def wait() -> None:
                await may_go.wait()

            first.letting_go = wait
            async with joined(world, topic) as second:
                await comes_true(lambda: first.told[-1][0] == "revoked")
                await write(producer, topic, "a")
                getting = untyped(first.consumer).getmany(*of(topic, 0, 1), timeout_ms=0, max_records=10)
                asked = asyncio.create_task(getting)
                done, _ = await asyncio.wait([asked], timeout=NOTHING_COMES_WITHIN_S)
                assert not done
                may_go.set()
                await comes_true(lambda: len(first.owns) == len(second.owns) == 1)
                await asyncio.wait([asked], timeout=5)
                assert asked.done()
                first.letting_go = _at_once

    world.run(body())


def test_who_was_put_out_of_the_group_is_refused_its_commit_and_told_to_let_go(world: AioWorld) -> None:
    topic = prepared(world)
    (where,) = of(topic, 0)

    async def body() -> None:
        async with joined(world, topic) as slow:
            await comes_true(lambda: slow.owns == [0, 1])
            may_go = asyncio.Event()

            async def wait() -> None:
                await may_go.wait()

            slow.letting_go = wait
            async with joined(world, topic) as second:
                await comes_true(lambda: second.owns == [0, 1])
                await second.consumer.commit({where: 5})
                with pytest.raises(CommitFailedError):
                    await slow.consumer.commit({where: 2})
                assert await second.consumer.committed(where) == 5
                may_go.set()
                await comes_true(lambda: len(slow.owns) == len(second.owns) == 1)
                slow.letting_go = _at_once

    world.run(body())


def test_no_heartbeat_is_sent_while_the_listener_takes_its_partitions_and_a_session_later_they_go_to_another(
    world: AioWorld,
) -> None:
    topic = prepared(world)
    (where,) = of(topic, 0)

    async def body() -> None:
        may_take = asyncio.Event()

        async def wait() -> None:
            await may_take.wait()

        async with joined(world, topic) as slow:
            slow.taking = wait
            await comes_true(lambda: bool(slow.told) and slow.told[-1][0] == "assigned")
            async with joined(world, topic) as second:
                await comes_true(lambda: second.owns == [0, 1])
                with pytest.raises(CommitFailedError):
                    await slow.consumer.commit({where: 1})
                slow.taking = _at_once
                may_take.set()
                await comes_true(lambda: len(slow.owns) == len(second.owns) == 1)
                await slow.consumer.commit({of(topic, *slow.owns)[0]: 1})

    world.run(body())


def test_who_asks_to_join_again_gives_everything_up_first_and_is_assigned_anew(world: AioWorld) -> None:
    topic = prepared(world)
    (where,) = of(topic, 0)

    async def body() -> None:
        async with joined(world, topic) as member:
            await comes_true(lambda: member.owns == [0, 1])
            told = len(member.told)
            coordinator(member).request_rejoin()
            await comes_true(lambda: len(member.told) >= told + 4 and member.owns == [0, 1])
            assert member.told[told : told + 2] == [("revoked", [0, 1]), ("let go", [])]
            await member.consumer.commit({where: 1})
            assert await member.consumer.committed(where) == 1
            with pytest.raises(IllegalStateError):
                member.consumer.seek(TopicPartition("nobody.subscribed", 0), 0)

    world.run(body())


def test_who_asks_to_join_again_while_it_is_being_assigned_partitions_is_assigned_them_once_more(
    world: AioWorld,
) -> None:
    topic = prepared(world)
    (where,) = of(topic, 0)

    async def body() -> None:
        async with joined(world, topic) as member:

            async def ask_again() -> None:
                member.taking = _at_once
                coordinator(member).request_rejoin()

            member.taking = ask_again
            await comes_true(lambda: [what for what, _ in member.told].count("assigned") >= 2 and member.owns == [0, 1])
            await member.consumer.commit({where: 1})
            assert await member.consumer.committed(where) == 1

    world.run(body())


def test_a_follower_that_joins_again_is_given_what_it_has_in_the_same_generation_and_nobody_else_hears_of_it(
    world: AioWorld,
) -> None:
    topic = prepared(world)

    async def body() -> None:
        async with joined(world, topic) as leader:
            await comes_true(lambda: leader.owns == [0, 1])
            async with joined(world, topic) as follower:
                await comes_true(lambda: len(leader.owns) == len(follower.owns) == 1)
                generation, owned, told = coordinator(follower).generation, follower.owns, len(leader.told)
                heard = len(follower.told)
                coordinator(follower).request_rejoin()
                await comes_true(lambda: len(follower.told) >= heard + 4 and follower.owns == owned)
                assert coordinator(follower).generation == coordinator(leader).generation == generation
                assert len(leader.told) == told

    world.run(body())


def test_a_fenced_topic_refuses_what_is_older_than_the_delivery_timeout(world: AioWorld) -> None:
    topic = prepared(world, MISSES)
    old_ms = world.now_ms() - world.kafka.delivery_timeout_ms - 1_000

    async def body() -> None:
        async with writing(world) as producer:
            with pytest.raises(InvalidTimestampError):
                await producer.send_and_wait(topic, b"old", b"key", 0, old_ms, headers=HEADERS)
            assert (await producer.send_and_wait(topic, b"new", b"key", 0, headers=HEADERS)).offset == 0

    world.run(body())


def test_whoever_no_longer_waits_for_a_record_does_not_take_it_back(world: AioWorld) -> None:
    topic = prepared(world)

    async def body() -> None:
        async with writing(world) as producer, joined(world, topic) as member:
            sent = await send(producer, topic, "a")
            sent.cancel()
            assert await write(producer, topic, "b") == [1]
            await member.read(*of(topic, 0), until=2)
            assert member.values == ["a", "b"]

    world.run(body())
