"""Whose turn it is when many wait: each owner in turn, however many of its own it has brought."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Weighted round robin: whoever's turn it is gives as many as its weight, oldest first, and then goes to the end.
    Whoever comes anew waits for one turn of each of the others, never for all that they have brought.

    `weight` is at least 1, and is asked at each turn, so one that changes holds from then on. An owner brings nothing
    twice.
    """

    def __init__(self, weight: Callable[[str], int]) -> None:
        self._weight = weight
        self._waiting: OrderedDict[str, OrderedDict[T, None]] = OrderedDict()
        self._given = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, whose: str, item: T) -> None:
        mine = self._waiting.get(whose)
        if mine is None:
            mine = self._waiting[whose] = OrderedDict()
        mine[item] = None
        self._count += 1

    def take(self) -> tuple[str, T]:
        """Raises StopIteration when nobody waits."""
        whose = next(iter(self._waiting))
        mine = self._waiting[whose]
        item, _ = mine.popitem(last=False)
        self._count -= 1
        self._given += 1
        if not mine:
            del self._waiting[whose]
            self._given = 0
        elif self._given >= self._weight(whose):
            self._waiting.move_to_end(whose)
            self._given = 0
        return whose, item

    def oldest(self) -> Iterator[T]:
        """Of each owner, who waits longest."""
        return (next(iter(mine)) for mine in self._waiting.values())

    def remove(self, whose: str, item: T) -> None:
        """It has gone, and that was nobody's turn."""
        mine = self._waiting[whose]
        del mine[item]
        self._count -= 1
        if not mine:
            if whose == next(iter(self._waiting)):
                self._given = 0
            del self._waiting[whose]
