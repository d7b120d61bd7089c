"""The loop of the invoke stage on aiokafka: takes what its lanes have room for, finishes in any order, commits the
contiguous frontier.

Promises: no call for a request that is completed or in flight here; an offset is committed only after the completion
is acknowledged; when partitions are taken away, calls still running after the drain time are cancelled, and what they
had started stays on the ledger as `unknown_billable`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from confluent_kafka import TopicPartition as Position
from pydantic import ValidationError

from schemas.call import CallRow
from schemas.flow import Completion, Dispatch
from schemas.request import Priority
from schemas.response import Failure
from schemas.topics import CALLS, COMPLETIONS, DISPATCH
from streams.control import ControlView
from streams.invoke.caller import Caller
from streams.invoke.finished import Finished
from streams.invoke.lanes import Lanes
from streams.invoke.outbox import AsyncOutbox
from streams.observe.health import Progress
from streams.observe.logs import logger
from streams.observe.metrics import Metrics
from streams.runtime.deadletter import dead_letter_headers
from streams.runtime.delivery import Delivery, Headers
from streams.runtime.envelope import seal
from streams.runtime.follower import ControlFollower
from streams.runtime.frontier import Frontier, NextOffset
from streams.runtime.lag import ASK_TIMEOUT_S, Lag
from streams.runtime.outcome import DeadLetter, Record
from streams.runtime.restore import TableReader
from streams.runtime.stage import completion_record, requester_of
from streams.settings import KafkaSettings, WorkerSettings

log = logger(__name__)
STAGE = "invoke"
Fetched = Mapping[TopicPartition, Sequence[ConsumerRecord[Any, Any]]]


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
        self._outbox = outbox
        self._caller = caller
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
        self._finished = Finished()
        self._calling: dict[str, asyncio.Task[None]] = {}
        self._taken_ms: dict[asyncio.Task[None], int] = {}
        self._writing = 0
        self._written = False
        self._lag = Lag(STAGE, metrics, now_ms)
        self._draining = False
        self._fatal: BaseException | None = None

    async def run(self, stop: asyncio.Event) -> None:
        self._consumer.subscribe(list(self._topics), listener=self)
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
        task = asyncio.get_running_loop().create_task(self._work(delivery))
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

    async def _work(self, delivery: Delivery) -> None:
        """Returns when the event's completion is safe. Raises only what must stop the worker: the broker's refusal."""
        try:
            dispatch = Dispatch.decode(delivery.value or b"")
        except ValidationError as problem:
            await self._give_up(delivery, "unreadable", problem)
            return
        identity = dispatch.ticket.identity
        while (twin := self._calling.get(identity)) is not None:
            await asyncio.wait([twin])
        if identity in self._finished:
            log.info("absorbed", reason="completed before", topic=delivery.topic, offset=delivery.offset)
            self._metrics.count("millrace_events_total", STAGE, "absorb")
            return
        self._calling[identity] = cast("asyncio.Task[None]", asyncio.current_task())
        try:
            await self._complete(delivery, dispatch)
        except (KafkaError, asyncio.CancelledError):
            raise
        except Exception as problem:  # noqa: BLE001  # a bug costs its own event, never the partition
            await self._give_up(delivery, "decision_failed", problem)
        finally:
            self._calling.pop(identity, None)

    async def _complete(self, delivery: Delivery, dispatch: Dispatch) -> None:
        async def book(row: CallRow) -> None:
            first = 2 * row.attempt_no + (row.phase != "started")
            await self._write(delivery, (Record(CALLS, row.tenant_id, row),), first=first)

        await self._finish(delivery, await self._caller.complete(dispatch, book))

    async def _finish(self, delivery: Delivery, completion: Completion) -> None:
        await self._write(delivery, (completion_record(completion),))
        self._finished.add(completion, self._now_ms())
        self._metrics.count("millrace_events_total", STAGE, completion.status)

    async def _give_up(self, delivery: Delivery, reason: str, problem: Exception) -> None:
        log.error(
            "gave_up",
            reason=reason,
            problem=type(problem).__name__,
            topic=delivery.topic,
            partition=delivery.partition,
            offset=delivery.offset,
        )
        self._metrics.count("millrace_dead_letters_total", STAGE, reason)
        letter = DeadLetter(reason, type(problem).__name__)
        await self._outbox.write_dead_letter(delivery, dead_letter_headers(delivery, STAGE, letter, self._now_ms()))
        requester = requester_of(delivery)
        if requester is not None:
            ticket, slot = requester.ticket, requester.slot
            log.warning("told_the_requester", request_id=ticket.request_id, tenant=ticket.tenant_id)
            failure = Failure(
                code="internal_error",
                message="The request could not be handled. It is kept; ask the operator, or send it under a new id.",
            )
            await self._finish(delivery, Completion(ticket=ticket, slot=slot, status="failed", failure=failure))

    async def _write(self, delivery: Delivery, records: tuple[Record, ...], *, first: int = 0) -> None:
        envelopes = seal(records, delivery, self._kafka, STAGE, self._now_ms(), first=first)
        self._writing += 1
        try:
            await self._outbox.write(envelopes)
        finally:
            self._writing -= 1
        self._written = True

    async def _commit(self) -> None:
        """What the broker does not take is not remembered as done, and goes along with the next commit."""
        self._committed_ms = self._now_ms()
        moved = {
            where: frontier.next_offset
            for where, frontier in self._frontiers.items()
            if frontier.next_offset is not None and frontier.next_offset != self._committed.get(where)
        }
        if not moved:
            return
        committed = self._committed  # a rebalance meanwhile puts another in its place
        try:
            await self._consumer.commit(moved)
        except KafkaError as error:
            log.warning("commit_failed", error=type(error).__name__)
        else:
            committed.update(moved)

    async def _drain(self) -> None:
        if self._taken_ms:
            await asyncio.wait(self._taken_ms, timeout=self._drain_s)
        for task in self._taken_ms:
            task.cancel()
        if self._taken_ms:
            log.warning("calls_cancelled", calls=len(self._taken_ms))
            await asyncio.wait(self._taken_ms)
        await self._commit()

    async def _report(self) -> None:
        """A call that waits for its provider is bounded by its plan: what may stand still is what we write."""
        for priority, count in self._lanes.counts():
            self._metrics.set("millrace_in_flight", STAGE, priority, to=count)
        self._progress.looped(len(self._taken_ms), moved=self._written or not self._writing)
        self._written = False
        if self._lag.is_due():
            self._lag.show_oldest(next(iter(self._taken_ms.values()), None))
            self._lag.show(self._committed, await self._ends())

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
        self._draining = True
        await self._drain()
        self._frontiers = {}
        self._committed = {}

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
        await asyncio.to_thread(self._relearn, positions)
        # aiokafka fetches as soon as partitions are assigned: what a fetch under way was given since, we did not take
        for where, at in committed.items():
            self._consumer.seek(where, at)
        self._committed = {where: NextOffset(at) for where, at in committed.items()}
        self._frontiers = {where: Frontier() for where in assigned}
        self._draining = False
        self._progress.state("running")
        log.info("assigned", partitions=sorted({where.partition for where in assigned}))

    def _relearn(self, positions: list[Position]) -> None:
        """What a crashed predecessor completed and did not commit must not be called for again."""
        now_ms, window_ms = self._now_ms(), self._settings.answered_window_s * 1000
        oldest_ms = self._reader.oldest_unfinished_ms(positions)
        partitions = {position.partition for position in positions}
        finished = Finished()

        def learn(record: Delivery) -> None:
            try:
                finished.add(Completion.decode(record.value or b""), now_ms)
            except ValidationError:  # `postprocess` keeps it in the dead letters
                log.error("completion_unreadable", partition=record.partition, offset=record.offset)

        if partitions:
            since_ms = {p: min(oldest_ms.get(p, now_ms), now_ms) - window_ms for p in partitions}
            self._reader.read(self._kafka.topic(COMPLETIONS), since_ms, learn)
        self._finished = finished


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
