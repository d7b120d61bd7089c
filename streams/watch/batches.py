"""Many records as one event of Faust's: what Faust does for each event is then done once for hundreds of rows."""

from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any, Protocol

from faust.types.tuples import TP, ConsumerMessage

from streams.runtime.delivery import Delivery
from streams.runtime.frontier import NextOffset

LARGEST_BATCH = 500
"""Records. So many keep the loop busy for some milliseconds; heartbeats have a thread of their own."""

GATHER_S = 0.15
BACKLOG = 2_000
"""Records. Whoever finds so many at once is behind; fewer come in by themselves while it gathers, on a busy machine."""


class BatchMessage(ConsumerMessage):
    """Records of one partition, in order. Offset and time are the last one's; key and value are empty."""

    __slots__ = ("deliveries",)

    def __init__(self, where: TP, records: Sequence[Any], generation_id: int | None) -> None:
        """`records` are aiokafka's, at least one."""
        last = records[-1]
        super().__init__(
            where.topic,
            where.partition,
            last.offset,
            last.timestamp / 1_000,
            last.timestamp_type,
            headers=None,
            key=None,
            value=b"",
            checksum=None,
            tp=where,
            generation_id=generation_id,
        )
        self.deliveries = tuple(
            Delivery(
                each.topic,
                each.partition,
                each.offset,
                each.key,
                each.value,
                tuple(each.headers or ()),
                each.timestamp,
            )
            for each in records
        )


def cut(records: Sequence[Any]) -> list[Sequence[Any]]:
    return [records[start : start + LARGEST_BATCH] for start in range(0, len(records), LARGEST_BATCH)]


class Rhythm:
    """When to look for records again, so that those that trickle in are taken together. Times are in seconds, on any
    clock that only goes forward.

    A row waits for two pauses at most, and what it says about a deployment for two more. What comes to an idle watch
    waits for none, and neither does a backlog.
    """

    def __init__(self) -> None:
        self._not_before_s = 0.0

    def pause_s(self, now_s: float) -> float:
        return max(0.0, self._not_before_s - now_s)

    def found(self, records: int, now_s: float) -> None:
        self._not_before_s = now_s + GATHER_S if 0 < records < BACKLOG else now_s


class Finishable(Protocol):
    @property
    def offset(self) -> int: ...

    @property
    def acked(self) -> bool: ...


class Handed:
    """What the agents were given of each partition, in order: the offset to commit is the end of what is finished of
    it without a gap.

    Faust compares offsets instead. Of a batch it would take those before the last one for missing, and the place
    after the first record of a partition for a gap that never closes.
    """

    def __init__(self) -> None:
        self._handed: dict[TP, deque[Finishable]] = defaultdict(deque)

    def give(self, where: TP, message: Finishable) -> None:
        self._handed[where].append(message)

    def forget(self) -> None:
        """All of it is read anew: what of it still gets finished counts for nothing."""
        self._handed.clear()

    def finished(self, where: TP) -> NextOffset | None:
        """None when nothing more is finished since this was last asked."""
        handed, done = self._handed[where], None
        while handed and handed[0].acked:
            done = NextOffset(handed.popleft().offset + 1)
        return done
