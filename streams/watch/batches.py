"""Many records as one event of Faust's: what Faust does for each event is then done once for hundreds of rows."""

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from faust.types.tuples import TP, ConsumerMessage

from streams.runtime.delivery import Delivery
from streams.runtime.frontier import NextOffset

LARGEST_BATCH = 500
"""Records. So many keep the loop busy for some milliseconds; heartbeats have a thread of their own."""


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


def cut(records: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(records), LARGEST_BATCH):
        yield records[start : start + LARGEST_BATCH]


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
