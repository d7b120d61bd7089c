"""The loop of the invoke stage on aiokafka: reads ahead of its places, finishes in any order, commits the contiguous
frontier.

Promise: an offset is committed only after the completion is acknowledged. What partitions it takes from, and what
happens when they are taken away, is its `Tenure`'s.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import cast

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.request import Priority
from schemas.topics import DISPATCH, HANDOVERS
from streams.control import ControlView
from streams.invoke.backlog import ReadAhead
from streams.invoke.caller import Caller
from streams.invoke.estimate import Ends, wait_s
from streams.invoke.fetched import Fetched, delivery_of
from streams.invoke.lanes import IN_ORDER, Lanes
from streams.invoke.offsets import Offsets
from streams.invoke.others import Others
from streams.invoke.outbox import AsyncOutbox
from streams.invoke.pool import AT_ONCE, Pool
from streams.invoke.pulse import Pulse
from streams.invoke.share import Share
from streams.invoke.tenure import Tenure
from streams.invoke.work import STAGE, Work
from streams.observe.health import Progress
from streams.observe.logs import logger
from streams.observe.metrics import Metrics
from streams.runtime.delivery import Delivery
from streams.runtime.follower import ControlFollower
from streams.runtime.lag import Lag
from streams.runtime.spill import Spill
from streams.settings import KafkaSettings, WorkerSettings

log = logger(__name__)

PATIENCE_S = 1.0
"""So much longer than asked for a fetch may take before the loop looks around."""
UNHEARD_S = 2.0
"""So long before its session is over a worker that the group does not answer counts as lost: time to hand over."""


class InvokeWorker:
    """`run` returns after `stop` is set and the calls in flight are finished, or cancelled after the drain time. It has
    left its group before it waits for them, and also before it raises, be it for one of aiokafka's own tasks that was
    cancelled.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        outbox: AsyncOutbox,
        caller: Caller,
        follower: ControlFollower,
        others: Others,
        lanes: Lanes,
        *,
        kafka: KafkaSettings,
        settings: WorkerSettings,
        drain_ms: int,
        now_ms: Callable[[], int],
        metrics: Metrics,
        progress: Progress,
        reconfigured: Callable[[ControlView], Awaitable[None]],
        read_ahead: ReadAhead | None = None,
    ) -> None:
        self._consumer = consumer
        self._follower = follower
        self._lanes = lanes
        self._settings = settings
        self._drain_s = drain_ms / 1000
        self._now_ms = now_ms
        self._metrics = metrics
        self._progress = progress
        self._reconfigured = reconfigured
        self._topics: dict[str, Priority] = {kafka.topic(topic): priority for priority, topic in DISPATCH.items()}
        clock_s = asyncio.get_running_loop().time  # so that whoever runs the loop says what time it is
        self._pulse = Pulse(kafka.session_timeout_ms / 1000 - UNHEARD_S, self._lose, clock_s)
        self._work = Work(outbox, caller, others, kafka, now_ms, metrics, self._pulse, Spill(STAGE, settings))
        self._offsets = Offsets(consumer, self._pulse, now_ms, lambda held: caller.hold(Share(held, kafka.partitions)))
        self._pool = Pool(
            lanes,
            now_ms,
            self._fail,
            read_ahead,
            weight=self._weight,
            may_begin=self._may_begin,
        )
        self._lag = Lag(STAGE, metrics, now_ms)
        self._ends: dict[Priority, Ends] = {priority: Ends(now_ms()) for priority in DISPATCH}
        self._tenure = Tenure(
            consumer,
            list(self._topics),
            [TopicPartition(kafka.topic(HANDOVERS), p) for p in range(kafka.partitions)],
            others,
            self._work,
            self._pool,
            self._offsets,
            self._pulse,
            progress,
            self._fail,
        )
        self._fatal: BaseException | None = None

    async def run(self, stop: asyncio.Event) -> None:
        self._tenure.subscribe()
        self._metrics.set("millrace_config_version", STAGE, to=self._follower.view.version)
        log.info("subscribed", reads=list(self._topics))
        beating = asyncio.create_task(self._pulse.beat())
        beating.add_done_callback(self._stopped_beating)
        try:
            while not stop.is_set() and self._fatal is None:
                await self._round()
        except (Exception, asyncio.CancelledError) as problem:  # noqa: BLE001  # raised below, when the group is told
            self._fail(problem)
        await self._tenure.end(self._drain_s)
        beating.cancel()
        if self._fatal is not None:
            raise self._fatal
        log.info("stopped")

    async def _round(self) -> None:
        if self._follower.follow():
            self._metrics.set("millrace_config_version", STAGE, to=self._follower.view.version)
            await self._reconfigured(self._follower.view)
        await self._tenure.rejoin_if_lost()
        self._tenure.check()
        if not self._tenure.is_taking:
            self._show_progress()
            await asyncio.sleep(self._settings.poll_ms / 1000)
            return
        took = 0
        open_partitions: list[TopicPartition] = []
        for priority in IN_ORDER:
            most = min(self._pool.room(priority), AT_ONCE)
            mine = [where for where in self._offsets.frontiers if most and self._topics[where.topic] == priority]
            open_partitions += mine
            if mine:
                took += self._take(await self._fetch(mine, 0, most))
        are_all_told = self._pool.end_overdue()
        if took or not are_all_told:
            await asyncio.sleep(0)  # what is fetched already is given without a turn of the loop
        else:
            await self._wait_for_work(open_partitions)
        if self._offsets.is_due(self._settings.commit_interval_ms):
            await self._offsets.prove()
        await self._report()

    async def _wait_for_work(self, open_partitions: list[TopicPartition]) -> None:
        """One event from any lane that may take more; with room nowhere, until a call ends."""
        poll_ms = self._settings.poll_ms
        still_ours = [where for where in open_partitions if where in self._offsets.frontiers]
        if still_ours:
            self._take(await self._fetch(still_ours, poll_ms, 1))
        elif len(self._pool):
            await self._pool.any_ended(poll_ms / 1000)
        else:  # nothing is assigned
            await asyncio.sleep(poll_ms / 1000)

    async def _fetch(self, partitions: Sequence[TopicPartition], timeout_ms: int, most: int) -> Fetched:
        """Nothing while the group rebalances: aiokafka then waits for the slowest member, and we may be told to stop.
        It has taken no record yet when it waits.
        """
        try:
            async with asyncio.timeout(timeout_ms / 1000 + PATIENCE_S):
                return cast(
                    "Fetched", await self._consumer.getmany(*partitions, timeout_ms=timeout_ms, max_records=most)
                )
        except TimeoutError:
            return {}

    def _take(self, records: Fetched) -> int:
        self._pulse.check()
        if not self._tenure.is_taking:  # not taken, so read again: the next assignment starts from what is committed
            return 0
        count = 0
        for where, batch in records.items():
            for record in batch:
                self._start(where, delivery_of(record))
                count += 1
        return count

    def _start(self, where: TopicPartition, delivery: Delivery) -> None:
        frontier, priority = self._offsets.frontiers[where], self._topics[where.topic]
        frontier.take(delivery.offset)

        def finished() -> None:
            frontier.finish(delivery.offset)
            self._ends[priority].ended()

        self._pool.take(priority, delivery.value or b"", lambda aside: self._work.do(delivery, aside), finished)

    def _weight(self, tenant: str) -> int:
        return self._follower.view.weight(tenant)

    def _may_begin(self) -> bool:
        self._pulse.check()
        return self._tenure.is_taking

    def _lose(self) -> None:
        self._tenure.lose()

    def _stopped_beating(self, beating: asyncio.Task[None]) -> None:
        """Without it nobody would learn in time that its partitions are lost."""
        if not beating.cancelled() and (problem := beating.exception()) is not None:
            self._fail(problem)

    def _fail(self, problem: BaseException) -> None:
        """Raised by `run`."""
        self._fatal = self._fatal or problem

    async def _report(self) -> None:
        self._show_progress()
        if self._lag.is_due():
            self._lag.show_oldest(self._pool.oldest_ms)
            ends = await self._offsets.ends(list(self._offsets.committed))
            self._lag.show(self._offsets.committed, ends)
            self._show_waits(ends)

    def _show_waits(self, ends: Mapping[TopicPartition, int]) -> None:
        now_ms, open_of = self._now_ms(), Counter[Priority]()
        for where, frontier in self._offsets.frontiers.items():
            if where in ends:
                begins = frontier.next_offset or self._offsets.committed[where]
                open_of[self._topics[where.topic]] += ends[where] - begins - frontier.span + frontier.unfinished
        for priority, counted in self._ends.items():
            waiting = open_of[priority] - self._lanes.calling(priority)
            estimate = wait_s(waiting, counted.per_s(now_ms))
            self._metrics.set("millrace_estimated_wait_seconds", priority, to=estimate)

    def _show_progress(self) -> None:
        """Work that is done and cannot be committed is unfinished too: a crash would do it again."""
        for priority, count in self._lanes.counts():
            self._metrics.set("millrace_in_flight", STAGE, priority, to=count)
            self._metrics.set("millrace_waiting", priority, to=self._pool.waiting(priority))
        held_up = self._offsets.is_held_up
        moves = self._work.moves()
        self._progress.looped(max(len(self._pool), int(held_up)), moved=moves and not held_up)
