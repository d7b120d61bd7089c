"""Whose time has come, without a look at all the others."""

from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T")
_FEW = 64


class Deadlines(Generic[T]):
    """Who goes earlier is forgotten at once; its entry is swept out when such are more than half."""

    def __init__(self) -> None:
        self._waiting: dict[int, T] = {}
        self._heap: list[tuple[int, int]] = []
        self._numbers = 0

    def __len__(self) -> int:
        """Entries, with those that are not swept out yet."""
        return len(self._heap)

    def add(self, deadline_ms: int, waiting: T) -> int:
        """A number by which it can be discarded."""
        self._numbers += 1
        self._waiting[self._numbers] = waiting
        heappush(self._heap, (deadline_ms, self._numbers))
        return self._numbers

    def discard(self, number: int) -> None:
        del self._waiting[number]
        if len(self._heap) > 2 * len(self._waiting) + _FEW:
            self._heap = [entry for entry in self._heap if entry[1] in self._waiting]
            heapify(self._heap)

    def first_due(self, now_ms: int) -> T | None:
        """The one that is due for the longest. It stays until it is discarded."""
        while self._heap and self._heap[0][1] not in self._waiting:
            heappop(self._heap)
        if not self._heap or self._heap[0][0] > now_ms:
            return None
        return self._waiting[self._heap[0][1]]
