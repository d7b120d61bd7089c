"""Everything a worker holds for one partition number: its state, its open offsets, and the events held back."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from streams.runtime.delivery import Delivery
from streams.runtime.frontier import Frontier
from streams.runtime.stage import State


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
        self._woken: set[str] = set()

    def frontier(self, topic: str) -> Frontier:
        found = self.frontiers.get(topic)
        if found is None:
            found = self.frontiers[topic] = Frontier()
        return found

    def park(self, key: str, held: Parked) -> None:
        self._parked.setdefault(key, []).append(held)

    def wake(self, keys: Iterable[str]) -> None:
        self._woken.update(key for key in keys if key in self._parked)

    def woken(self) -> list[Parked]:
        """Those held under the keys that were woken, in the order in which they came; they are held no longer."""
        released = [held for key in self._woken for held in self._parked.pop(key, ())]
        self._woken.clear()
        return sorted(released, key=lambda held: held.delivery.offset)

    def due(self, now_ms: int) -> list[Parked]:
        """Those whose time has come, in the order in which they came; they are held no longer."""
        released: list[Parked] = []
        for key in list(self._parked):
            waiting = self._parked[key]
            if any(held.until_ms <= now_ms for held in waiting):
                released += [held for held in waiting if held.until_ms <= now_ms]
                rest = [held for held in waiting if held.until_ms > now_ms]
                if rest:
                    self._parked[key] = rest
                else:
                    del self._parked[key]
        return sorted(released, key=lambda held: held.delivery.offset)

    @property
    def parked_since_ms(self) -> int | None:
        """When the event held back for the longest was first held back."""
        return min((held.since_ms for waiting in self._parked.values() for held in waiting), default=None)

    @property
    def parked_count(self) -> int:
        return sum(len(waiting) for waiting in self._parked.values())

    @property
    def unfinished(self) -> int:
        return sum(frontier.unfinished for frontier in self.frontiers.values())
