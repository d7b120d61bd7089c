"""Which offset may be committed: the end of the contiguous run of finished events of one partition.

Work may finish in any order; a crash then repeats what was unfinished and, at worst, what had finished beyond it.
Only offsets that were received count, so gaps left by compaction or transaction markers do not hold the frontier up.
"""

from collections import deque
from typing import NewType

NextOffset = NewType("NextOffset", int)
"""What Kafka wants committed: the offset of the next event to read, never of the last one done."""


class Frontier:
    def __init__(self) -> None:
        self._open: deque[int] = deque()
        self._finished: set[int] = set()
        self._next: NextOffset | None = None

    def take(self, offset: int) -> None:
        """Offsets are taken in the order in which the partition delivers them; anything else is a bug here."""
        if (self._open and offset <= self._open[-1]) or (self._next is not None and offset < self._next):
            raise ValueError(f"offset {offset} was delivered after a later one")
        self._open.append(offset)

    def finish(self, offset: int) -> None:
        self._finished.add(offset)
        while self._open and self._open[0] in self._finished:
            done = self._open.popleft()
            self._finished.remove(done)
            self._next = NextOffset(done + 1)

    @property
    def next_offset(self) -> NextOffset | None:
        """None until the first taken event, and all before it, is finished."""
        return self._next

    @property
    def unfinished(self) -> int:
        return len(self._open) - len(self._finished)

    @property
    def span(self) -> int:
        """Offsets between the frontier and the newest taken: what a crash would read again."""
        return len(self._open)
