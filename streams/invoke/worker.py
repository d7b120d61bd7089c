"""The loop of the invoke stage on aiokafka: takes what its lanes have room for, finishes in any order, commits the
contiguous frontier.

Promises: an offset is committed only after the completion is acknowledged; when partitions are taken away, requests
that only wait are cancelled at once and calls after the drain time, whose start stays on the ledger as
`unknown_billable`; and a worker that cannot even do that ends with an error.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from confluent_kafka import TopicPartition as Position

from schemas.request import Priority
from schemas.topics import COMPLETIONS, DISPATCH
from streams.control import ControlView
from streams.invoke.caller import Caller
from streams.invoke.finished import relearned
from streams.invoke.lanes import Lanes
from streams.invoke.outbox import AsyncOutbox
from streams.invoke.work import STAGE, Work
from streams.observe.health import Progress
from streams.observe.logs import logger
from streams.observe.metrics import Metrics
from streams.runtime.delivery import Delivery, Headers
from streams.runtime.follower import ControlFollower
from streams.runtime.frontier import Frontier, NextOffset
from streams.runtime.lag import ASK_TIMEOUT_S, Lag
from streams.runtime.restore import TableReader
from streams.runtime.worker import DrainTimeoutError
from streams.settings import KafkaSettings, WorkerSettings

log = logger(__name__)
Fetched = Mapping[TopicPartition, Sequence[ConsumerRecord[Any, Any]]]

COMMIT_S = 5.0
CANCEL_S = 5.0
HARD_S = CANCEL_S + COMMIT_S
"""How long a drain may last beyond the drain time."""
COMMITS_FAIL_MS = 5_000
"""Commits that have failed for so long hold the frontier up."""


class InvokeWorker(ConsumerRebalanceListener):
    """`run` returns after `stop` is set and the calls in flight are finished, or cancelled after the drain time."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        outbox: AsyncOutbox,
        caller: Caller,
        follower: ControlFollower,
        reader: TableReader,
        lanes: Lanes,
        *,
        kafka: KafkaSettings,
        settings: WorkerSettings,
        drain_ms: int,
        now_ms: Callable[[], int],
        metrics: Metrics,
        progress: Progress,
        reconfigured: Callable[[ControlView], Awaitable[None]],
    ) -> None:
        self._consumer = consumer
        self._work = Work(outbox, caller, kafka, now_ms, metrics)
        self._follower = follower
        self._reader = reader
        self._lanes = lanes
        self._kafka = kafka
        self._settings = settings
        self._drain_s = drain_ms / 1000
        self._now_ms = now_ms
        self._metrics = metrics
        self._progress = progress
        self._reconfigured = reconfigured
        self._topics: dict[str, Priority] = {kafka.topic(topic): priority for priority, topic in DISPATCH.items()}
        self._frontiers: dict[TopicPartition, Frontier] = {}
        self._committed: dict[TopicPartition, NextOffset] = {}
        self._committed_ms = 0
        self._uncommitted_ms: int | None = None
        self._taken_ms: dict[asyncio.Task[None], int] = {}
        self._waiting: set[asyncio.Task[None]] = set()
        self._lag = Lag(STAGE, metrics, now_ms)
        self._draining = False
        self._fatal: BaseException | None = None

    async def run(self, stop: asyncio.Event) -> None:
        self._consumer.subscribe(list(self._topics), listener=self)
        self._metrics.set("millrace_config_version", STAGE, to=self._follower.view.version)
        log.info("subscribed", reads=list(self._topics))
        while not stop.is_set() and self._fatal is None:
            await self._round()
        self._progress.state("stopping")
        await self._drain()
        if self._fatal is not None:
            raise self._fatal
        log.info("stopped")

    async def _round(self) -> None:
        if self._follower.follow():
            self._metrics.set("millrace_config_version", STAGE, to=self._follower.view.version)
            await self._reconfigured(self._follower.view)
        if self._draining:
            self._show_progress()
            await asyncio.sleep(self._settings.poll_ms / 1000)
            return
        took = 0
        open_partitions: list[TopicPartition] = []
        for priority in self._lanes.open():
            mine = [where for where in self._frontiers if self._topics[where.topic] == priority]
            open_partitions += mine
            if mine:
                took += self._take(await self._fetch(mine, 0, self._lanes.room(priority)))
        if not took:
            await self._wait_for_work(open_partitions)
        if self._now_ms() - self._committed_ms >= self._settings.commit_interval_ms:
            await self._commit()
        await self._report()

    async def _wait_for_work(self, open_partitions: list[TopicPartition]) -> None:
        """One event from any lane with room; with no room anywhere, until a call ends."""
        poll_ms = self._settings.poll_ms
        if open_partitions:
            self._take(await self._fetch(open_partitions, poll_ms, 1))
        elif self._taken_ms:
            await asyncio.wait(self._taken_ms, timeout=poll_ms / 1000, return_when=asyncio.FIRST_COMPLETED)
        else:  # nothing is assigned
            await asyncio.sleep(poll_ms / 1000)

    async def _fetch(self, partitions: Sequence[TopicPartition], timeout_ms: int, most: int) -> Fetched:
        return cast("Fetched", await self._consumer.getmany(*partitions, timeout_ms=timeout_ms, max_records=most))

    def _take(self, records: Fetched) -> int:
        if self._draining:  # not taken, so read again: the next assignment starts from what is committed
            return 0
        count = 0
        for where, batch in records.items():
            frontier = self._frontiers[where]
            for record in batch:
                frontier.take(record.offset)
                self._start(where, frontier, delivery_of(record))
                count += 1
        return count

    def _start(self, where: TopicPartition, frontier: Frontier, delivery: Delivery) -> None:
        priority = self._topics[where.topic]
        self._lanes.enter(priority)
        task = asyncio.get_running_loop().create_task(self._work.do(delivery, lambda: self._aside(priority)))
        self._taken_ms[task] = self._now_ms()

        def ended(done: asyncio.Task[None]) -> None:
            del self._taken_ms[done]
            self._lanes.leave(priority)
            if done.cancelled():
                return
            problem = done.exception()
            if problem is None:
                frontier.finish(delivery.offset)
            else:
                self._fatal = self._fatal or problem

        task.add_done_callback(ended)

    @contextmanager
    def _aside(self, priority: Priority) -> Generator[None]:
        """Around what only waits: it holds no place in its lane, and nobody waits for it when partitions go."""
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._lanes.step_aside(priority)
        self._waiting.add(task)
        if self._draining:
            task.cancel()
        try:
            yield
        finally:
            self._waiting.remove(task)
            self._lanes.come_back(priority)

    async def _commit(self) -> bool:
        """What the broker does not take is not remembered as done, and goes along with the next commit. Returns whether
        it said anything in time.
        """
        self._committed_ms = self._now_ms()
        moved = {
            where: frontier.next_offset
            for where, frontier in self._frontiers.items()
            if frontier.next_offset is not None and frontier.next_offset != self._committed.get(where)
        }
        if not moved:
            self._uncommitted_ms = None
            return True
        committed = self._committed  # a rebalance meanwhile puts another in its place
        try:
            async with asyncio.timeout(COMMIT_S):  # aiokafka tries again for ever
                await self._consumer.commit(moved)
        except (KafkaError, TimeoutError) as error:
            self._uncommitted_ms = self._uncommitted_ms or self._committed_ms
            log.warning("commit_failed", error=type(error).__name__)
            return not isinstance(error, TimeoutError)
        self._uncommitted_ms = None
        committed.update(moved)
        return True

    async def _drain(self) -> None:
        """Ends after the drain time and what cancelling and committing may take, `HARD_S`, whatever happens."""
        self._draining = True
        for task in self._waiting:
            task.cancel()
        if self._taken_ms:
            await asyncio.wait(self._taken_ms, timeout=self._drain_s)
        for task in self._taken_ms:
            task.cancel()
        if self._taken_ms:
            log.warning("calls_cancelled", calls=len(self._taken_ms))
            await asyncio.wait(self._taken_ms, timeout=CANCEL_S)
        if self._taken_ms:
            self._die(f"{len(self._taken_ms)} calls did not end within {CANCEL_S:g} s of being cancelled")
        if not await self._commit():
            self._die(f"the broker did not take the last commit within {COMMIT_S:g} s")

    def _die(self, why: str) -> None:
        """Raised by `run`: aiokafka would log what its listener raises, and go on."""
        log.error("drain_failed", why=why)
        self._fatal = self._fatal or DrainTimeoutError(why)

    async def _report(self) -> None:
        self._show_progress()
        if self._lag.is_due():
            self._lag.show_oldest(next(iter(self._taken_ms.values()), None))
            self._lag.show(self._committed, await self._ends())

    def _show_progress(self) -> None:
        """Work that is done and cannot be committed is unfinished too: a crash would do it again."""
        for priority, count in self._lanes.counts():
            self._metrics.set("millrace_in_flight", STAGE, priority, to=count)
        held_up = self._uncommitted_ms is not None and self._now_ms() - self._uncommitted_ms >= COMMITS_FAIL_MS
        moves = self._work.moves()
        self._progress.looped(max(len(self._taken_ms), int(held_up)), moved=moves and not held_up)

    async def _ends(self) -> Mapping[TopicPartition, int]:
        """Nothing when the broker does not answer at once."""
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                return cast("Mapping[TopicPartition, int]", await self._consumer.end_offsets(list(self._committed)))
        except (KafkaError, TimeoutError):
            return {}

    # aiokafka awaits what its listener returns; its own annotations know only the synchronous kind
    async def on_partitions_revoked(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, revoked: list[TopicPartition]
    ) -> None:
        """Range assignment takes everything away at once, so everything is drained at once."""
        if revoked:
            log.info("revoked", partitions=sorted({where.partition for where in revoked}))
        await self._drain()
        self._frontiers = {}
        self._committed = {}
        self._uncommitted_ms = None

    async def on_partitions_assigned(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, assigned: list[TopicPartition]
    ) -> None:
        self._progress.state("restoring")
        try:
            await self._begin(assigned)
        except Exception as problem:  # noqa: BLE001  # aiokafka logs it and goes on: we would wait for work for ever
            self._fatal = problem

    async def _begin(self, assigned: list[TopicPartition]) -> None:
        committed = {where: cast("int | None", await self._consumer.committed(where)) or 0 for where in assigned}
        positions = [Position(where.topic, where.partition, at) for where, at in committed.items()]
        completions, window_ms = self._kafka.topic(COMPLETIONS), self._settings.answered_window_s * 1000
        self._work.finished = await asyncio.to_thread(
            relearned, self._reader, completions, positions, self._now_ms(), window_ms
        )
        # aiokafka fetches as soon as partitions are assigned: what a fetch under way was given since, we did not take
        for where, at in committed.items():
            self._consumer.seek(where, at)
        self._committed = {where: NextOffset(at) for where, at in committed.items()}
        self._frontiers = {where: Frontier() for where in assigned}
        self._draining = False
        self._progress.state("running")
        log.info("assigned", partitions=sorted({where.partition for where in assigned}))


def delivery_of(record: ConsumerRecord[Any, Any]) -> Delivery:
    return Delivery(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=record.value,
        headers=cast("Headers", tuple(record.headers)),
        timestamp_ms=record.timestamp,
    )
