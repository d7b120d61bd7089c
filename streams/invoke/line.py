"""Who waits for a busy deployment, and whose turn is next: the most urgent lane's first, and of every five turns one is
for whoever has waited the longest, so that a flood of urgent ones does not starve the rest.
"""

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from schemas.request import Priority
from streams.invoke.lanes import IN_ORDER

T = TypeVar("T")
ONE_IN = 5


class Line(Generic[T]):
    """Within a lane, first come, first served."""

    def __init__(self) -> None:
        self._lanes: dict[Priority, deque[tuple[int, T]]] = {priority: deque() for priority in IN_ORDER}
        self._came = 0
        self._given = 0

    def __bool__(self) -> bool:
        return any(self._lanes.values())

    def __len__(self) -> int:
        return sum(map(len, self._lanes.values()))

    def add(self, priority: Priority, waiting: T) -> None:
        self._came += 1
        self._lanes[priority].append((self._came, waiting))

    def first(self) -> T:
        """Of a line with somebody in it."""
        return self._next()[0][1]

    def pop(self) -> T:
        """The first, whose turn it was."""
        self._given += 1
        return self._next(self._given - 1).popleft()[1]

    def drop(self) -> T:
        """The first, who has gone: that was nobody's turn."""
        return self._next().popleft()[1]

    def forget(self, has_gone: Callable[[T], bool]) -> None:
        """All of them, wherever they stand."""
        for priority, lane in self._lanes.items():
            self._lanes[priority] = deque(each for each in lane if not has_gone(each[1]))

    def _next(self, given: int | None = None) -> deque[tuple[int, T]]:
        lanes = [lane for lane in self._lanes.values() if lane]
        turn = self._given if given is None else given
        return min(lanes, key=lambda lane: lane[0][0]) if turn % ONE_IN == ONE_IN - 1 else lanes[0]
