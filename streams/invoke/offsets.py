"""Which events of the assigned partitions are finished, and how much of that the group knows."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.invoke.pulse import Pulse
from streams.observe.logs import logger
from streams.runtime.frontier import Frontier, NextOffset
from streams.runtime.lag import ASK_TIMEOUT_S

log = logger(__name__)
COMMIT_S = 5.0
COMMITS_FAIL_MS = 5_000
"""Commits that have failed for so long hold the frontier up."""
PROVE_AGAIN_MS = 250


class Offsets:
    """Every commit that is taken is felt by `pulse`, which rests when nothing is ours to commit. `held` is told which
    partitions are ours whenever that changes.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        pulse: Pulse,
        now_ms: Callable[[], int],
        held: Callable[[frozenset[int]], None] = lambda _: None,
    ) -> None:
        self._consumer = consumer
        self._held = held
        self._pulse = pulse
        self._now_ms = now_ms
        self._tried_ms = 0
        self._uncommitted_ms: int | None = None
        self._asked: asyncio.Future[None] | None = None
        self.frontiers: dict[TopicPartition, Frontier] = {}
        self.committed: dict[TopicPartition, NextOffset] = {}

    def begin(self, committed: Mapping[TopicPartition, int]) -> None:
        self.committed = {where: NextOffset(at) for where, at in committed.items()}
        self.frontiers = {where: Frontier() for where in committed}
        self._held(frozenset(where.partition for where in committed))

    def void(self) -> None:
        """Nothing of these partitions is ours to commit any more, whatever still finishes."""
        self._withdraw()
        self._pulse.rest()
        self.frontiers = {}
        self.committed = {}
        self._held(frozenset())
        self._uncommitted_ms = None

    def is_due(self, interval_ms: int) -> bool:
        since_ms = self._now_ms() - self._tried_ms
        return since_ms >= interval_ms or (self._pulse.is_fading and since_ms >= PROVE_AGAIN_MS)

    @property
    def is_held_up(self) -> bool:
        return self._uncommitted_ms is not None and self._now_ms() - self._uncommitted_ms >= COMMITS_FAIL_MS

    async def commit(self) -> bool:
        """What the broker does not take is not remembered as done, and goes along with the next commit. Returns whether
        it said anything in time.
        """
        return await self._commit(self._moved())

    async def prove(self) -> None:
        """That the group counts on us: commits too, where it stands once more when there is nothing new and the latest
        proof is not of this moment. For what it proves ask the pulse.
        """
        moved = self._moved()
        if not moved and self.committed and (self._pulse.is_fading or not self._pulse.is_felt):
            moved = dict([max(sorted(self.committed.items()), key=lambda position: position[1])])
        await self._commit(moved)

    def _moved(self) -> dict[TopicPartition, NextOffset]:
        return {
            where: frontier.next_offset
            for where, frontier in self.frontiers.items()
            if frontier.next_offset is not None and frontier.next_offset != self.committed.get(where)
        }

    async def _commit(self, moved: dict[TopicPartition, NextOffset]) -> bool:
        self._tried_ms = self._now_ms()
        if not moved or not _is_member(self._consumer):
            self._uncommitted_ms = None
            return True
        committed = self.committed  # a rebalance meanwhile puts another in its place
        self._withdraw()
        asked_s = self._pulse.now_s()
        asked = self._asked = asyncio.ensure_future(self._consumer.commit(moved))
        await asyncio.wait([asked], timeout=COMMIT_S)  # aiokafka tries again for ever
        if asked.cancelled():
            return True
        is_silent = not asked.done()
        error = asked.exception() if asked.done() else TimeoutError()
        is_ours = self._asked is asked
        self._withdraw()
        if error is None:
            self._uncommitted_ms = None
            if is_ours:
                self._pulse.heard(asked_s)
            committed.update(moved)
        elif isinstance(error, KafkaError | TimeoutError):
            self._uncommitted_ms = self._uncommitted_ms or self._tried_ms
            log.warning("commit_failed", error=type(error).__name__)
        else:
            raise error
        return not is_silent

    async def ends(self, where: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Of any partitions; nothing when the broker does not answer at once."""
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                return cast("Mapping[TopicPartition, int]", await self._consumer.end_offsets(list(where)))
        except (KafkaError, TimeoutError):
            return {}

    def _withdraw(self) -> None:
        """What is still being asked. When the group has changed meanwhile, aiokafka would ask again as the member it is
        then, and commit for partitions that others own by now.
        """
        if self._asked is not None:
            self._asked.cancel()
            self._asked = None


def _is_member(consumer: AIOKafkaConsumer) -> bool:
    """Once the group has put it out, aiokafka commits under no name, and a group that has no members by then takes that
    from anybody: what others have finished meanwhile would be set back.
    """
    return cast("Any", consumer)._coordinator.generation >= 0  # noqa: SLF001  # aiokafka tells it nowhere else
