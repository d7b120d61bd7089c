"""What a worker has read and not begun. It reads ahead of its places, so that behind a tenant's flood it sees the
others: places are given by turns, not by the order of arrival.
"""

import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from schemas.base import EpochMs
from schemas.request import Priority
from schemas.wire import DecodeError, InternalEvent
from streams.invoke.caller import Aside
from streams.invoke.turns import Turns

OVERHEAD_BYTES = 1_024
"""What one takes beside its record."""
_NEVER_MS = sys.maxsize


class _Asker(InternalEvent):
    tenant_id: str | None = None
    deadline_ms: EpochMs | None = None


class _Asked(InternalEvent):
    """Of a Dispatch, what counts before it is begun: reading no more takes a fraction of the time."""

    ticket: _Asker


@dataclass(frozen=True, slots=True)
class ReadAhead:
    """How much a lane may hold that is not begun; beyond that its topic waits, first come, first served."""

    requests: int = 20_000
    bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    do: Callable[[Aside], Coroutine[Any, Any, bool]]
    finished: Callable[[], None]
    taken_ms: int
    deadline_ms: int
    size: int


class _Line:
    def __init__(self, weight: Callable[[str], int]) -> None:
        self.turns: Turns[Waiting] = Turns(weight)
        self.bytes = 0
        self.next_deadline_ms = _NEVER_MS


class Backlog:
    """By lane and tenant. `weight` says how many of a tenant's requests go in one turn."""

    def __init__(self, bound: ReadAhead, weight: Callable[[str], int]) -> None:
        self._bound = bound
        self._weight = weight
        self._lines: dict[Priority, _Line] = {}
        self.clear()

    def __len__(self) -> int:
        return sum(len(line.turns) for line in self._lines.values())

    def clear(self) -> None:
        """Whoever owns the partitions now reads it again."""
        priorities: tuple[Priority, ...] = ("high", "normal", "low")
        self._lines = {priority: _Line(self._weight) for priority in priorities}

    def count(self, priority: Priority) -> int:
        return len(self._lines[priority].turns)

    def room(self, priority: Priority) -> int:
        line = self._lines[priority]
        return 0 if line.bytes >= self._bound.bytes else max(self._bound.requests - len(line.turns), 0)

    def add(
        self,
        priority: Priority,
        value: bytes,
        do: Callable[[Aside], Coroutine[Any, Any, bool]],
        finished: Callable[[], None],
        now_ms: int,
    ) -> None:
        """`value` is the Dispatch as JSON; what cannot be read is nobody's, and is told so when it is begun."""
        try:
            asker = _Asked.decode(value).ticket
        except DecodeError:
            asker = _Asker()
        line = self._lines[priority]
        deadline_ms = _NEVER_MS if asker.deadline_ms is None else asker.deadline_ms
        size = len(value) + OVERHEAD_BYTES
        line.turns.add(asker.tenant_id or "", Waiting(do, finished, now_ms, deadline_ms, size))
        line.bytes += size
        line.next_deadline_ms = min(line.next_deadline_ms, deadline_ms)

    def take(self, priority: Priority) -> Waiting | None:
        """Whose turn it is."""
        line = self._lines[priority]
        if not len(line.turns):
            return None
        _, waiting = line.turns.take()
        line.bytes -= waiting.size
        return waiting

    def overdue(self, now_ms: int) -> list[tuple[Priority, Waiting]]:
        """Those whose deadline has come; they wait no longer."""
        found: list[tuple[Priority, Waiting]] = []
        for priority, line in self._lines.items():
            if line.next_deadline_ms > now_ms:
                continue
            later_ms = _NEVER_MS

            def is_overdue(waiting: Waiting) -> bool:
                nonlocal later_ms
                if waiting.deadline_ms > now_ms:
                    later_ms = min(later_ms, waiting.deadline_ms)
                    return False
                return True

            for waiting in line.turns.drop(is_overdue):
                line.bytes -= waiting.size
                found.append((priority, waiting))
            line.next_deadline_ms = later_ms
        return found

    @property
    def oldest_ms(self) -> int | None:
        """When the one that has waited longest was read."""
        return min((each.taken_ms for line in self._lines.values() for each in line.turns.oldest()), default=None)
