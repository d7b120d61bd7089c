"""aiokafka's consumer and producer, as `invoke` uses them, on the same cluster in memory.

Unlike librdkafka's, this consumer tells its listener from a task of its own, and commits without a member's id once it
has lost its own: a group without members takes such a commit.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Protocol

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, KafkaTimeoutError, UnknownError
from confluent_kafka import KafkaError

from tests.fakes.kafka.fetch import CREATE_TIME
from tests.fakes.kafka.host import Host
from tests.fakes.kafka.log import Headers, Stored, Where
from tests.fakes.kafka.membership import Gained, Lost, Membership
from tests.fakes.kafka.outgoing import Outgoing, Sent

NEWS_S = 0.05
RETRY_S = 0.1
Record = ConsumerRecord[bytes, bytes]


class Listener(Protocol):
    def on_partitions_revoked(self, revoked: list[TopicPartition], /) -> Awaitable[None]: ...

    def on_partitions_assigned(self, assigned: list[TopicPartition], /) -> Awaitable[None]: ...


class FakeAioConsumer:
    def __init__(self, host: Host, group: str) -> None:
        self._host = host
        self._coordinator = Membership(host, group, commits_as_nobody=True)
        self._next: dict[TopicPartition, int] = {}
        self._listener: Listener | None = None
        self._coordinating: asyncio.Task[None] | None = None
        self._is_closing = False

    async def start(self) -> None:
        self._host.call("start consumer")

    def subscribe(self, topics: list[str], *, listener: Listener) -> None:
        """Anew after `unsubscribe`: what was assigned is given up, and asked for again."""
        self._host.call("subscribe")
        self._listener = listener
        self._coordinator.join(topics)
        if self._coordinating is None:
            self._coordinating = asyncio.get_running_loop().create_task(self._coordinate())

    def unsubscribe(self) -> None:
        self._host.call("unsubscribe")
        self._next = {}
        self._coordinator.leave()

    async def _coordinate(self) -> None:
        """The listener is told of one thing after the other; while it is told of an assignment no heartbeat is sent."""
        while not self._is_closing:
            if not self._coordinator.news:
                await passed(NEWS_S)
                continue
            match self._coordinator.news.popleft():
                case Gained(partitions):
                    await self._gain([TopicPartition(*where) for where in partitions])
                case Lost():
                    await self._lose()

    async def _gain(self, assigned: list[TopicPartition]) -> None:
        self._next = {where: await self._committed(where) or 0 for where in assigned}
        if self._listener is not None:
            await self._listener.on_partitions_assigned(assigned)

    async def _lose(self) -> None:
        if self._listener is not None:
            await self._listener.on_partitions_revoked(list(self._next))
        self._next = {}
        self._coordinator.join()

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[Record]]:
        self._host.call("getmany")
        found = self._fetched(partitions, max_records)
        if not found and timeout_ms:
            await passed(timeout_ms / 1000)
            found = self._fetched(partitions, max_records)
        return found

    def _fetched(self, partitions: Sequence[TopicPartition], most: int) -> dict[TopicPartition, list[Record]]:
        found: dict[TopicPartition, list[Record]] = {}
        for where in partitions:
            if where in self._next and most and self._host.reaches_cluster:
                stored = self._host.cluster.log((where.topic, where.partition)).read(self._next[where], most)
                if stored and not self._host.conditions.happens("fetch waits"):
                    found[where] = [record_of(each) for each in stored]
                    self._next[where] = stored[-1].offset + 1
                    most -= len(stored)
        return found

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._host.call("seek")
        if partition in self._next:
            self._next[partition] = offset

    async def committed(self, partition: TopicPartition) -> int | None:
        self._host.call("committed")
        return await self._committed(partition)

    async def _committed(self, partition: TopicPartition) -> int | None:
        await self._coordinator_reached()
        return self._coordinator.committed((partition.topic, partition.partition))

    async def _coordinator_reached(self) -> None:
        """The real one tries again for ever too; whoever waits sets the limit."""
        while not self._host.reaches_coordinator:
            await passed(RETRY_S)

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._host.call("commit")
        await self._coordinator_reached()
        asked: dict[Where, int] = {(where.topic, where.partition): offset for where, offset in offsets.items()}
        problem = self._coordinator.commit(asked)
        while self._host.conditions.happens("reply lost"):
            await passed(RETRY_S)
            await self._coordinator_reached()
            problem = self._coordinator.commit(asked)
        if problem is not None:
            raise CommitFailedError(str(KafkaError(problem)))

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        self._host.call("end offsets")
        while not self._host.reaches_cluster:
            await passed(RETRY_S)
        return {where: self._host.cluster.log((where.topic, where.partition)).end for where in partitions}

    async def stop(self) -> None:
        """Whatever the listener is being told is told to its end first."""
        self._host.call("stop consumer")
        self._is_closing = True
        if self._coordinating is not None:
            await asyncio.wait([self._coordinating])
        self._coordinator.leave()


class FakeAioProducer:
    def __init__(self, host: Host, request_timeout_ms: int) -> None:
        self._host = host
        self._outgoing = Outgoing(host, request_timeout_ms)

    async def start(self) -> None:
        self._host.call("start producer")

    async def stop(self) -> None:
        self._host.call("stop producer")

    async def send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        *,
        headers: Sequence[tuple[str, bytes]],
    ) -> asyncio.Future[None]:
        self._host.call("send")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def over(refusal: int | None) -> None:
            if done.done():
                return
            match refusal:
                case None:
                    done.set_result(None)
                case KafkaError._MSG_TIMED_OUT:  # a public code whose name has an underscore
                    done.set_exception(KafkaTimeoutError())
                case code:
                    done.set_exception(UnknownError(str(KafkaError(code))))

        written: Headers = tuple(headers)
        now_ms = self._host.timeline.now_ms
        self._outgoing.send(Sent((topic, partition), key, value, written, now_ms, over))
        return done

    async def send_and_wait(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        *,
        headers: Sequence[tuple[str, bytes]],
    ) -> None:
        await (await self.send(topic, value, key, partition, headers=headers))


async def passed(seconds: float) -> None:
    """Of the loop's own time, which is virtual."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    timer = loop.call_later(seconds, over.set_result, None)
    try:
        await over
    finally:
        timer.cancel()


def record_of(stored: Stored) -> Record:
    return ConsumerRecord(
        topic=stored.topic,
        partition=stored.partition,
        offset=stored.offset,
        timestamp=stored.timestamp_ms,
        timestamp_type=CREATE_TIME,
        key=stored.key,
        value=stored.value,
        checksum=None,
        serialized_key_size=len(stored.key or b""),
        serialized_value_size=len(stored.value or b""),
        headers=stored.headers,
    )
