"""Everything a worker holds for one partition number: its state, its open offsets, and the events held back."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any

from streams.runtime.delivery import Delivery
from streams.runtime.frontier import Frontier
from streams.runtime.stage import State

SPARE = 1_000
"""So many entries that are of no use any more may stand among those that wait for their time."""


@dataclass(frozen=True, slots=True)
class Parked:
    delivery: Delivery
    event: Any
    since_ms: int
    until_ms: int


class PartitionWork:
    """Dropped as a whole when the partition is taken away, so nothing of it can outlive the assignment."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.frontiers: dict[str, Frontier] = {}
        self._parked: dict[str, list[Parked]] = {}
        self._by_time: list[tuple[int, int, str]] = []  # a heap: when, a number, and the key to look under then
        self._number = 0
        self._count: Counter[str] = Counter()
        self._woken: set[str] = set()

    def frontier(self, topic: str) -> Frontier:
        found = self.frontiers.get(topic)
        if found is None:
            found = self.frontiers[topic] = Frontier()
        return found

    def park(self, key: str, held: Parked) -> None:
        self._parked.setdefault(key, []).append(held)
        self._count[held.delivery.topic] += 1
        self._number += 1
        heappush(self._by_time, (held.until_ms, self._number, key))

    def wake(self, keys: Iterable[str]) -> None:
        self._woken.update(key for key in keys if key in self._parked)

    def woken(self) -> list[Parked]:
        """Those held under the keys that were woken, in the order in which they came; they are held no longer."""
        released = [held for key in self._woken for held in self._parked.pop(key, ())]
        self._woken.clear()
        return self._released(released)

    def due(self, now_ms: int) -> list[Parked]:
        """Those whose time has come, in the order in which they came; they are held no longer."""
        released: list[Parked] = []
        while self._by_time and self._by_time[0][0] <= now_ms:
            key = heappop(self._by_time)[2]
            waiting = self._parked.get(key, ())
            released += [held for held in waiting if held.until_ms <= now_ms]
            rest = [held for held in waiting if held.until_ms > now_ms]
            if rest:
                self._parked[key] = rest
            else:
                self._parked.pop(key, None)
        return self._released(released)

    def _released(self, held: list[Parked]) -> list[Parked]:
        self._count.subtract(each.delivery.topic for each in held)
        if len(self._by_time) > 2 * self.parked_count + SPARE:  # those that were woken before their time
            self._by_time = [
                (each.until_ms, number, key)
                for key, waiting in self._parked.items()
                for number, each in enumerate(waiting)
            ]
            heapify(self._by_time)
        return sorted(held, key=lambda each: each.delivery.offset)

    def parked_since_ms(self, without: Collection[str] = ()) -> int | None:
        """When the event held back for the longest was first held back, but for those from some topics."""
        return min(
            (
                held.since_ms
                for waiting in self._parked.values()
                for held in waiting
                if held.delivery.topic not in without
            ),
            default=None,
        )

    @property
    def parked_count(self) -> int:
        return self._count.total()

    def parked_of(self, topic: str) -> int:
        return self._count[topic]

    @property
    def unfinished(self) -> int:
        return sum(frontier.unfinished for frontier in self.frontiers.values())
