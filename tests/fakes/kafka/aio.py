"""aiokafka's consumer and producer, as `invoke` uses them, on the same cluster in memory.

Unlike librdkafka's, this consumer tells its listener from a task of its own, hands out nothing from the moment on when
it is to join again until it is assigned partitions, whatever the timeout, and commits without a member's id once it has
lost its own: a group without members takes such a commit.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaTimeoutError, for_code
from aiokafka.structs import RecordMetadata
from confluent_kafka import KafkaError

from tests.fakes.kafka.fetch import CREATE_TIME
from tests.fakes.kafka.host import Host
from tests.fakes.kafka.log import Stored, Where
from tests.fakes.kafka.membership import Gained, Lost, Membership
from tests.fakes.kafka.outgoing import Outgoing, Sent

NEWS_S = 0.05
RETRY_S = 0.1
Record = ConsumerRecord[bytes, bytes]


class Listener(Protocol):
    """Given sets by aiokafka, whatever its annotations say. Here they are in order: a seed replays in any process."""

    def on_partitions_revoked(self, revoked: Any, /) -> Awaitable[None]: ...

    def on_partitions_assigned(self, assigned: Any, /) -> Awaitable[None]: ...


class FakeAioConsumer:
    def __init__(self, host: Host, group: str) -> None:
        self._host = host
        self._coordinator = Membership(host, group, client="aiokafka")
        self._topics: list[str] = []
        self._next: dict[TopicPartition, int] = {}
        self._assigned: tuple[TopicPartition, ...] = ()
        self._listener: Listener | None = None
        self._must_join = False
        self._has_given_up = False
        self._is_reassigned = True
        self._coordinating: asyncio.Task[None] | None = None
        self._is_closing = False

    async def start(self) -> None:
        self._host.call("start consumer")

    def subscribe(self, topics: list[str], *, listener: Listener) -> None:
        """Once."""
        self._host.call("subscribe")
        self._topics, self._listener = topics, listener
        self._must_join = True
        self._coordinating = asyncio.get_running_loop().create_task(self._coordinate())

    async def _coordinate(self) -> None:
        """The listener is told of one thing after the other. While it gives up partitions heartbeats go on; while it
        takes them, none is sent.
        """
        while not self._is_closing:
            if self._must_join:
                self._must_join = False
                await self._join()
            elif self._coordinator.news:
                match self._coordinator.news.popleft():
                    case Gained(partitions):
                        await self._gain(tuple(sorted(TopicPartition(*where) for where in partitions)))
                    case Lost():
                        self._must_join = True
            else:
                await passed(NEWS_S)

    async def _join(self) -> None:
        """What was assigned before is told as revoked, be it nothing."""
        self._is_reassigned = True
        if not self._has_given_up and self._listener is not None:
            with suppress(Exception):  # the real one logs it and goes on
                await self._listener.on_partitions_revoked(self._assigned)
            self._has_given_up = True
        if self._listener is not None and not self._is_closing:
            self._next = {}
            self._coordinator.join(self._topics)

    async def _gain(self, assigned: tuple[TopicPartition, ...]) -> None:
        starts = {where: await self._committed(where) or 0 for where in assigned}
        if self._listener is None:
            return
        self._assigned, self._next = assigned, starts
        self._has_given_up = self._is_reassigned = False
        with suppress(Exception):  # the real one logs it and goes on
            await self._listener.on_partitions_assigned(assigned)
        self._coordinator.beat()

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[Record]]:
        self._host.call("getmany")
        await self._assignment_made()
        found = self._fetched(partitions, max_records)
        if not found and timeout_ms:
            await passed(timeout_ms / 1000)
            await self._assignment_made()
            found = self._fetched(partitions, max_records)
        return found

    async def _assignment_made(self) -> None:
        """Takes as long as that takes."""
        while self._is_reassigned:
            await passed(NEWS_S)

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
        self._must_be_assigned([partition])
        self._next[partition] = offset

    def _must_be_assigned(self, partitions: Iterable[TopicPartition]) -> None:
        for where in partitions:
            if where not in self._next:
                raise IllegalStateError(f"Partition {where} is not assigned")

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
        self._must_be_assigned(offsets)
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
        self._outgoing = Outgoing(host, request_timeout_ms, pipelines=False)

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
        timestamp_ms: int | None = None,
        *,
        headers: Sequence[tuple[str, bytes]],
    ) -> asyncio.Future[RecordMetadata]:
        """Whoever cancels what is returned does not take the record back."""
        self._host.call("send")
        done: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        dated_ms = self._host.timeline.now_ms if timestamp_ms is None else timestamp_ms

        def over(refusal: int | None) -> None:
            if done.done():
                return
            match refusal:
                case None:
                    where = TopicPartition(topic, partition)
                    done.set_result(
                        RecordMetadata(topic, partition, where, record.offset or 0, dated_ms, CREATE_TIME, 0)
                    )
                case KafkaError._MSG_TIMED_OUT:  # a public code whose name has an underscore
                    done.set_exception(KafkaTimeoutError())
                case code:
                    done.set_exception(for_code(code)())

        record = Sent((topic, partition), key, value, tuple(headers), dated_ms, over)
        self._outgoing.send(record)
        return done

    async def send_and_wait(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        timestamp_ms: int | None = None,
        *,
        headers: Sequence[tuple[str, bytes]],
    ) -> RecordMetadata:
        return await (await self.send(topic, value, key, partition, timestamp_ms, headers=headers))


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
