"""Faust's Kafka transport where it loses or repeats what it was given to do."""

from collections.abc import Mapping
from types import CoroutineType
from typing import Any, cast

from aiokafka import TopicPartition
from faust.transport.drivers import aiokafka
from faust.types import AppT
from faust.types.tuples import TP
from typing_extensions import override

from streams.watch.deliveries import Deliveries


class Consumer(aiokafka.Consumer):
    """Faust's, but for the order of things, and for what it is told before it is known."""

    @override
    def perform_seek(self) -> "CoroutineType[Any, Any, None]":
        """Goes back to what is committed, with nothing read meanwhile; who calls it lets reading go on.

        Faust resumes the partitions first. What it then reads before the broker has told what is committed it takes
        for a gap and for events as well: it counts each twice, commits one a second, and may commit unfinished ones.
        """
        self.stop_flow()  # here, not in the coroutine: that begins a round of the loop later
        return super().perform_seek()

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
