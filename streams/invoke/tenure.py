"""From when partitions are this worker's until they are no longer: what comes before it takes anything of theirs, and
what becomes of its calls when they are taken away, lost, or given up for good.

Promises: nobody in the group waits for a call. Requests that only wait are let go, calls in flight are handed over:
they end here while their new owner waits for them. A worker that cannot even do that ends with an error.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from confluent_kafka import TopicPartition as Position

from streams.invoke.offsets import COMMIT_S, Offsets
from streams.invoke.others import Others
from streams.invoke.pool import CANCEL_S, Pool, ended_within
from streams.invoke.pulse import BEAT_S, Pulse
from streams.invoke.work import Work
from streams.observe.health import Progress
from streams.observe.logs import logger
from streams.runtime.worker import DrainTimeoutError

log = logger(__name__)

HAND_OVER_S = 5.0
LEAVE_S = 10.0
HARD_S = CANCEL_S + HAND_OVER_S + COMMIT_S + LEAVE_S + CANCEL_S
"""How long the end may take beyond the drain time."""


class Tenure(ConsumerRebalanceListener):
    """`failed` hears of what must end the worker: aiokafka would log what its listener raises, and go on."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        topics: Sequence[str],
        handovers: Sequence[TopicPartition],
        others: Others,
        work: Work,
        pool: Pool,
        offsets: Offsets,
        pulse: Pulse,
        progress: Progress,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._consumer = consumer
        self._topics = topics
        self._handovers = handovers
        self._others = others
        self._work = work
        self._pool = pool
        self._offsets = offsets
        self._pulse = pulse
        self._progress = progress
        self._failed = failed
        self._assignment = 0
        self._is_taking = False
        self._is_stopping = False
        self._parting = asyncio.Lock()
        self._must_rejoin = False
        self._beside: set[asyncio.Task[None]] = set()

    @property
    def is_taking(self) -> bool:
        """Whether events of our partitions may be begun."""
        return self._is_taking

    def subscribe(self) -> None:
        self._consumer.subscribe(list(self._topics), listener=self)

    async def rejoin_if_lost(self) -> None:
        if self._must_rejoin and await self._can_part() and self._must_rejoin:  # if it has not done so by itself since
            await self._part()
            self._assignment += 1  # what came while it parted goes now
            # to subscribe anew instead would end aiokafka's own tasks if it is just assigning partitions to us
            cast("Any", self._consumer)._coordinator.request_rejoin()  # noqa: SLF001  # there is no other place

    def check(self) -> None:
        """Raises what keeps us from our group: where aiokafka would tell of it, nobody asks while nothing is taken."""
        cast("Any", self._consumer)._coordinator.check_errors()  # noqa: SLF001  # aiokafka has no other place

    def lose(self) -> None:
        """The group has not heard of us for so long that others may own our partitions: commit nothing, begin nothing,
        but let calls in flight end, for they are paid. Then ask for partitions anew.
        """
        log.warning("lost_touch", partitions=sorted({where.partition for where in self._offsets.frontiers}))
        is_parting = self._parting.locked()  # and asks for partitions anew, or wants none, when that is done
        self._is_taking, self._must_rejoin = False, not self._is_stopping and not is_parting
        self._assignment += 1
        self._work.lose()
        self._pool.let_go(self._work.calling())
        self._offsets.void()

    async def end(self, drain_s: float) -> None:
        """Takes no longer than the drain time and `HARD_S`, whatever happens. The group is left first: others take the
        work while our calls end.
        """
        self._progress.state("stopping")
        self._is_stopping = True
        self._others.stop()
        await self._part()
        leaving = asyncio.create_task(self._leave())
        if not await self._pool.finish(drain_s):
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
        return not self._work.calling() or bool(await self._offsets.ends(self._handovers))

    async def _give_up(self) -> None:
        self._is_taking, self._must_rejoin = False, False
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

    def _die(self, why: str) -> None:
        log.error("drain_failed", why=why)
        self._failed(DrainTimeoutError(why))

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
        if self._is_stopping:
            return
        self._is_taking = False
        self._offsets.void()
        self._assignment += 1
        assignment = self._assignment
        self._progress.state("restoring")
        try:
            committed = {where: cast("int | None", await self._consumer.committed(where)) or 0 for where in assigned}
        except Exception as problem:  # noqa: BLE001  # aiokafka logs it and goes on: we would wait for work for ever
            self._failed(problem)
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
            self._is_taking = True
            self._progress.state("running")
            log.info("assigned", partitions=sorted({where.partition for where in committed}))
            if self._others.elsewhere:
                await self._others.follow(learned, superseded)
        except Exception as problem:  # noqa: BLE001  # nobody awaits this before the end
            self._failed(problem)

    async def _is_counted_on(self, superseded: Callable[[], bool]) -> bool:
        """False when the partitions are gone before the group says so."""
        while not superseded():
            await self._offsets.prove()
            if not superseded() and self._pulse.is_felt:
                return True
            await asyncio.sleep(BEAT_S)
        return False
