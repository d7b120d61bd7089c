"""Faust's Kafka transport where it loses or repeats what it was given to do, and where it is dear."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from math import ceil
from types import CoroutineType
from typing import Any, cast

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka
from faust.types import AppT
from faust.types.tuples import TP
from typing_extensions import override

from streams.runtime.offset_fetch import tell_the_truth_of_offsets
from streams.watch.batches import GATHER_S, BatchMessage, Handed, Rhythm, cut
from streams.watch.deliveries import Deliveries

TOPICS_KNOWN_WITHIN_S = 10
ASK_AGAIN_S = 0.1


async def told_of(topics: frozenset[str], ask: Callable[[], Awaitable[Any]]) -> None:
    """Until what is asked for, aiokafka's metadata, has all of them, or for ten seconds."""
    for _ in range(ceil(TOPICS_KNOWN_WITHIN_S / ASK_AGAIN_S)):
        with suppress(KafkaError):  # no broker answers: reading will say so
            if topics <= (await ask()).topics():
                return
        await asyncio.sleep(ASK_AGAIN_S)


class ConsumerThread(aiokafka.AIOKafkaConsumerThread):
    """Faust's, with the client in it."""

    @override
    async def on_start(self) -> None:
        await super().on_start()
        tell_the_truth_of_offsets(cast("Any", self)._consumer)  # noqa: SLF001  # Faust has no other place for it
        # what is fetched waits to be taken; after 0.1 s of that the client would ask for the other partitions only,
        # and hear of new records in this one when the broker gives that up, 1.5 s later
        self._client._fetcher._prefetch_backoff = 2 * GATHER_S  # noqa: SLF001  # nothing sets it

    @override
    async def subscribe(self, topics: Iterable[str]) -> None:
        """A topic that Faust has just made, and the broker does not tell of yet, would be assigned to nobody until the
        client asks again, five minutes later.
        """
        await self.call_thread(self._wait_until_known, frozenset(topics))
        await super().subscribe(topics)

    @override
    async def call_thread(self, fun: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        """What the client gives up, as when its partitions change while it asks for offsets, comes back as cancelled;
        and that ends a task of Faust without a word, such as the one that reads tables back, for ever.
        """
        try:
            return await super().call_thread(fun, *args, **kwargs)
        except asyncio.CancelledError:
            asking = asyncio.current_task()
            if self.should_stop or asking is None or asking.cancelling():
                raise
            raise KafkaError("the client gave up what it was asked for") from None

    @override
    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust tells its log where nothing moves, and would end by looking where no position is known yet."""
        subscription = self._client._subscription.subscription  # noqa: SLF001  # as above
        assignment = None if subscription is None else subscription.assignment
        state = None if assignment is None else assignment.state_value(TopicPartition(*tp))
        if state is not None and state.has_valid_position:
            super().verify_event_path(now, tp)

    @override
    def on_crash(self, msg: str, *fmt: Any, **kwargs: Any) -> None:
        """Nothing: it would print the error's message, and whoever ends because of it says what it was."""

    async def _wait_until_known(self, topics: frozenset[str]) -> None:
        await told_of(topics, self._client._client.fetch_all_metadata)  # noqa: SLF001  # as above

    @property
    def _client(self) -> Any:
        """aiokafka's, which has no types."""
        return self._ensure_consumer()


class Consumer(aiokafka.Consumer):
    """Faust's, but for the order of things, what it is told before it is known, and the number of its events: records
    of our topics come in batches, those of changelogs one by one.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._handed = Handed()
        self._rhythm = Rhythm()

    @override
    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @override
    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        if pause_s := self._rhythm.pause_s(time.monotonic()):
            await asyncio.sleep(pause_s)
        fetched = await super()._getmany(active_partitions, timeout)
        ours = [records for where, records in fetched.items() if not self._is_changelog_tp(where)]
        self._rhythm.found(sum(map(len, ours)), time.monotonic())
        return {where: records if self._is_changelog_tp(where) else cut(records) for where, records in fetched.items()}

    @override
    def _to_message(self, tp: TP, record: Any) -> Any:
        if self._is_changelog_tp(tp):
            return super()._to_message(tp, record)
        message = BatchMessage(TP(*tp), record, self.app.consumer_generation_id)
        self._handed.give(message.tp, message)
        return message

    @override
    def _new_offset(self, tp: TP) -> int | None:
        """The offset to commit; None when there is nothing new to commit."""
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        return self._handed.finished(tp)

    @override
    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Nothing: what was handed out is known."""

    @override
    def perform_seek(self) -> "CoroutineType[Any, Any, None]":
        """Goes back to what is committed, with nothing read meanwhile; who calls it lets reading go on.

        Faust resumes the partitions first. What it then reads before the broker has told what is committed it takes
        for a gap and for events as well: it counts each twice, commits one a second, and may commit unfinished ones.
        """
        self.stop_flow()  # here, not in the coroutine: that begins a round of the loop later
        return self._seek_and_forget()

    async def _seek_and_forget(self) -> None:
        await super().perform_seek()
        self._handed.forget()

    @override
    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Goes back to the beginning where nothing was ever committed: aiokafka would go on where it is, and Faust
        has thrown away what was read up to there.
        """
        committed = await super().seek_to_committed()
        untouched = [where for where, offset in committed.items() if not offset and not self._is_changelog_tp(where)]
        if untouched:
            await self._thread.seek_to_beginning(*(TopicPartition(*where) for where in untouched))
        return committed

    @override
    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        transport = cast("Transport", self.transport)
        if not await transport.deliveries.settled(self.app.producer.buffer, transport.delivery_s):
            return False
        return await super()._commit(offsets)

    @override
    def topic_partitions(self, topic: str) -> int | None:
        """None when nothing is known of the topic yet, where aiokafka says 0 and Faust would compare that."""
        return super().topic_partitions(topic) or None


class Transport(aiokafka.Transport):
    """`delivery_s`: how long a commit waits for what it stands for."""

    Consumer = Consumer

    def __init__(self, app: AppT, deliveries: Deliveries, delivery_s: float) -> None:
        super().__init__(app.conf.broker_consumer, app)
        self.deliveries = deliveries
        self.delivery_s = delivery_s
