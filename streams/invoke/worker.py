"""The loop of the invoke stage on aiokafka: takes what its lanes have room for, finishes in any order, commits the
contiguous frontier.

Promises: an offset is committed only after the completion is acknowledged; nobody in the group waits for a call. When
partitions are taken away, or it is told to stop, requests that only wait are let go, calls in flight are handed over:
they end here while their new owner waits for them. A worker that cannot even do that ends with an error.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from confluent_kafka import TopicPartition as Position

from schemas.request import Priority
from schemas.topics import DISPATCH, HANDOVERS
from streams.control import ControlView
from streams.invoke.caller import Caller
from streams.invoke.fetched import Fetched, delivery_of
from streams.invoke.lanes import Lanes
from streams.invoke.offsets import COMMIT_S, Offsets
from streams.invoke.others import Others
from streams.invoke.outbox import AsyncOutbox
from streams.invoke.pool import CANCEL_S, Pool, ended_within
from streams.invoke.pulse import BEAT_S, Pulse
from streams.invoke.work import STAGE, Work
from streams.observe.health import Progress
from streams.observe.logs import logger
from streams.observe.metrics import Metrics
from streams.runtime.delivery import Delivery
from streams.runtime.follower import ControlFollower
from streams.runtime.lag import ASK_TIMEOUT_S, Lag
from streams.runtime.worker import DrainTimeoutError
from streams.settings import KafkaSettings, WorkerSettings

log = logger(__name__)

AT_ONCE = 500
"""So many are begun in one turn of the loop, which takes a tenth of a second: heartbeats wait for no more than that."""
HAND_OVER_S = 5.0
LEAVE_S = 10.0
HARD_S = CANCEL_S + HAND_OVER_S + COMMIT_S + LEAVE_S + CANCEL_S
"""How long the end may take beyond the drain time."""
PATIENCE_S = 1.0
"""So much longer than asked for a fetch may take before the loop looks around."""
UNHEARD_S = 2.0
"""So long before its session is over a worker that the group does not answer counts as lost: time to hand over."""


class InvokeWorker(ConsumerRebalanceListener):
    """`run` returns after `stop` is set and the calls in flight are finished, or cancelled after the drain time. It has
    left its group before it waits for them, and also before it raises.
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
    ) -> None:
        self._consumer = consumer
        self._follower = follower
        self._others = others
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
        self._handovers = [TopicPartition(kafka.topic(HANDOVERS), p) for p in range(kafka.partitions)]
        self._work = Work(outbox, caller, others, kafka, now_ms, metrics, self._pulse)
        self._offsets = Offsets(consumer, self._pulse, now_ms)
        self._pool = Pool(lanes, now_ms, self._fail)
        self._lag = Lag(STAGE, metrics, now_ms)
        self._assignment = 0
        self._taking = False
        self._stopping = False
        self._parting = asyncio.Lock()
        self._must_rejoin = False
        self._beside: set[asyncio.Task[None]] = set()
        self._fatal: BaseException | None = None

    async def run(self, stop: asyncio.Event) -> None:
        self._consumer.subscribe(list(self._topics), listener=self)
        self._metrics.set("millrace_config_version", STAGE, to=self._follower.view.version)
        log.info("subscribed", reads=list(self._topics))
        beating = asyncio.create_task(self._pulse.beat())
        try:
            while not stop.is_set() and self._fatal is None:
                await self._round()
        except Exception as problem:  # noqa: BLE001  # raised below, when the group is told
            self._fail(problem)
        await self._end()
        beating.cancel()
        if self._fatal is not None:
            raise self._fatal
        log.info("stopped")

    async def _round(self) -> None:
        if self._follower.follow():
            self._metrics.set("millrace_config_version", STAGE, to=self._follower.view.version)
            await self._reconfigured(self._follower.view)
        if self._must_rejoin and await self._can_part():
            await self._part()
            self._assignment += 1  # what came while it parted goes now
            self._consumer.unsubscribe()
            self._consumer.subscribe(list(self._topics), listener=self)
        if not self._taking:
            # where it would tell of what keeps it from its group, nobody asks it meanwhile
            cast("Any", self._consumer)._coordinator.check_errors()  # noqa: SLF001  # aiokafka has no other place
            self._show_progress()
            await asyncio.sleep(self._settings.poll_ms / 1000)
            return
        took = 0
        open_partitions: list[TopicPartition] = []
        for priority in self._lanes.open():
            mine = [where for where in self._offsets.frontiers if self._topics[where.topic] == priority]
            open_partitions += mine
            if mine:
                took += self._take(await self._fetch(mine, 0, min(self._lanes.room(priority), AT_ONCE)))
        if took:
            await asyncio.sleep(0)  # what is fetched already is given without a turn of the loop
        else:
            await self._wait_for_work(open_partitions)
        if self._offsets.is_due(self._settings.commit_interval_ms):
            await self._offsets.prove()
        await self._report()

    async def _wait_for_work(self, open_partitions: list[TopicPartition]) -> None:
        """One event from any lane with room; with no room anywhere, until a call ends."""
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
        if not self._taking:  # not taken, so read again: the next assignment starts from what is committed
            return 0
        count = 0
        for where, batch in records.items():
            for record in batch:
                self._start(where, delivery_of(record))
                count += 1
        return count

    def _start(self, where: TopicPartition, delivery: Delivery) -> None:
        frontier = self._offsets.frontiers[where]
        frontier.take(delivery.offset)
        self._pool.start(
            self._topics[where.topic],
            lambda aside: self._work.do(delivery, aside),
            lambda: frontier.finish(delivery.offset),
        )

    def _fail(self, problem: BaseException) -> None:
        """Raised by `run`: aiokafka would log what its listener raises, and go on."""
        self._fatal = self._fatal or problem

    def _die(self, why: str) -> None:
        log.error("drain_failed", why=why)
        self._fail(DrainTimeoutError(why))

    async def _report(self) -> None:
        self._show_progress()
        if self._lag.is_due():
            self._lag.show_oldest(self._pool.oldest_ms)
            self._lag.show(self._offsets.committed, await self._ends(list(self._offsets.committed)))

    def _show_progress(self) -> None:
        """Work that is done and cannot be committed is unfinished too: a crash would do it again."""
        for priority, count in self._lanes.counts():
            self._metrics.set("millrace_in_flight", STAGE, priority, to=count)
        held_up = self._offsets.is_held_up
        moves = self._work.moves()
        self._progress.looped(max(len(self._pool), int(held_up)), moved=moves and not held_up)

    async def _ends(self, where: list[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Nothing when the broker does not answer at once."""
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                return cast("Mapping[TopicPartition, int]", await self._consumer.end_offsets(where))
        except (KafkaError, TimeoutError):
            return {}

    async def _end(self) -> None:
        """Takes no longer than the drain time and `HARD_S`, whatever happens. The group is left first: others take the
        work while our calls end.
        """
        self._progress.state("stopping")
        self._stopping = True
        self._others.stop()
        await self._part()
        leaving = asyncio.create_task(self._leave())
        if not await self._pool.finish(self._drain_s):
            self._die(f"{len(self._pool)} calls did not end within {CANCEL_S:g} s of being cancelled")
        await asyncio.wait([leaving], timeout=LEAVE_S)
        leaving.cancel()
        await asyncio.gather(leaving, *self._beside, return_exceptions=True)

    async def _leave(self) -> None:
        """Takes as long as a rebalance under way: as its slowest member, or the session of a dead one."""
        try:
            await self._consumer.stop()
        except KafkaError as error:
            log.warning("left_without_a_word", error=type(error).__name__)

    async def _part(self) -> None:
        """Gives all partitions up: range assignment takes everything away at once. Nobody waits for our calls, so this
        takes as long as the broker needs for two writes. When told to twice, the second waits for the first.
        """
        async with self._parting:
            await self._give_up()

    async def _can_part(self) -> bool:
        """Not while brokers say nothing: what is called for could not be handed over, and is still worth its price."""
        return not self._work.calling() or bool(await self._ends(self._handovers))

    async def _give_up(self) -> None:
        self._taking, self._must_rejoin = False, False
        self._assignment += 1
        if not await ended_within(CANCEL_S, self._pool.let_go(self._work.calling())):
            self._die(f"requests that only wait did not end within {CANCEL_S:g} s of being cancelled")
        owes = self._work.owes_handovers
        try:
            async with asyncio.timeout(HAND_OVER_S):
                log.info("handed_over", calls=await self._work.hand_over())
        except (KafkaError, TimeoutError):
            if owes:  # what is lost already may be called for twice: told late or not at all
                self._die(f"the broker did not take what was handed over within {HAND_OVER_S:g} s")
        if not await self._offsets.commit():
            self._die(f"the broker did not take the last commit within {COMMIT_S:g} s")
        self._offsets.void()
        self._others.elsewhere.clear()

    def _lose(self) -> None:
        """The group has not heard of us for so long that others may own our partitions: commit nothing, begin nothing,
        but let calls in flight end, for they are paid. Then ask for partitions anew.
        """
        log.warning("lost_touch", partitions=sorted({where.partition for where in self._offsets.frontiers}))
        is_parting = self._parting.locked()  # and asks for partitions anew, or wants none, when that is done
        self._taking, self._must_rejoin = False, not self._stopping and not is_parting
        self._assignment += 1
        self._work.lose()
        self._pool.let_go(self._work.calling())
        self._offsets.void()

    # aiokafka awaits what its listener returns; its own annotations know only the synchronous kind
    async def on_partitions_revoked(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, revoked: list[TopicPartition]
    ) -> None:
        self._pulse.check()
        if revoked:
            log.info("revoked", partitions=sorted({where.partition for where in revoked}))
        await self._part()

    async def on_partitions_assigned(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, assigned: list[TopicPartition]
    ) -> None:
        """The client sends no heartbeats while this runs, so what may take long is done beside it."""
        if self._stopping:
            return
        self._taking = False
        self._offsets.void()
        self._assignment += 1
        assignment = self._assignment
        self._progress.state("restoring")
        try:
            committed = {where: cast("int | None", await self._consumer.committed(where)) or 0 for where in assigned}
        except Exception as problem:  # noqa: BLE001  # aiokafka logs it and goes on: we would wait for work for ever
            self._fail(problem)
            return
        begun = asyncio.create_task(self._begin(committed, assignment))
        self._beside.add(begun)
        begun.add_done_callback(self._beside.discard)

    async def _begin(self, committed: Mapping[TopicPartition, int], assignment: int) -> None:
        def superseded() -> bool:
            return assignment != self._assignment

        positions = [Position(where.topic, where.partition, at) for where, at in committed.items()]
        try:
            learned = await self._others.relearn(positions, superseded)
            if learned is None:
                return
            self._offsets.begin(committed)
            if committed and not await self._is_counted_on(superseded):
                return
            # aiokafka fetches as soon as partitions are assigned: what a fetch under way was given since, we did not
            # take
            for where, at in committed.items():
                self._consumer.seek(where, at)
            self._taking = True
            self._progress.state("running")
            log.info("assigned", partitions=sorted({where.partition for where in committed}))
            if self._others.elsewhere:
                await self._others.follow(learned, superseded)
        except Exception as problem:  # noqa: BLE001  # nobody awaits this before the end
            self._fail(problem)

    async def _is_counted_on(self, superseded: Callable[[], bool]) -> bool:
        """False when the partitions are gone before the group says so."""
        while not superseded():
            await self._offsets.prove()
            if not superseded() and self._pulse.is_felt:
                return True
            await asyncio.sleep(BEAT_S)
        return False
