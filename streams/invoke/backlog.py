"""What a worker has read and not begun, or begun and set back. It reads ahead of its places, so that behind a tenant's
flood it sees the others: places are given by turns, not by the order of arrival.
"""

from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

from schemas.base import EpochMs
from schemas.request import Priority
from schemas.wire import DecodeError, InternalEvent
from streams.invoke.beside import Aside, Awaited
from streams.invoke.deadlines import Deadlines
from streams.invoke.turns import Turns

OVERHEAD_BYTES = 1_024
"""What one takes beside its record."""


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


@dataclass(slots=True, eq=False)
class Taken:
    """One event. `value` is the Dispatch as JSON, which is read only for one that has to wait; what cannot be read is
    nobody's, and is told so when it is begun. `held_for` is what it was set back for, while it waits for that.
    """

    value: bytes
    do: Callable[[Aside], Coroutine[Any, Any, bool]]
    finished: Callable[[], None]
    taken_ms: int
    asker: _Asker | None = None
    held_for: Awaited | None = None
    deadline: int | None = None

    @property
    def size(self) -> int:
        return len(self.value) + OVERHEAD_BYTES

    @property
    def whose(self) -> str:
        return self.read().tenant_id or ""

    def read(self) -> _Asker:
        if self.asker is None:
            try:
                self.asker = _Asked.decode(self.value).ticket
            except DecodeError:
                self.asker = _Asker()
        return self.asker


class _Line:
    """Of one lane. `held` are those that were set back, by what they wait for; there too tenants take turns."""

    def __init__(self, weight: Callable[[str], int]) -> None:
        self._weight = weight
        self.turns: Turns[Taken] = Turns(weight)
        self.held: OrderedDict[Awaited, Turns[Taken]] = OrderedDict()
        self.deadlines: Deadlines[Taken] = Deadlines()
        self.count = 0
        self.bytes = 0
        self._is_the_helds = True

    def add(self, taken: Taken) -> None:
        what, deadline_ms = taken.held_for, taken.read().deadline_ms
        turns = self.turns if what is None else self.held.setdefault(what, Turns(self._weight))
        turns.add(taken.whose, taken)
        self.count += 1
        self.bytes += taken.size
        if deadline_ms is not None:
            taken.deadline = self.deadlines.add(deadline_ms, taken)

    def take(self, has_room: Callable[[Awaited], bool]) -> Taken | None:
        """By turns one of the held, if what it waits for has room, and one of the others."""
        held = next((what for what in self.held if has_room(what)), None)
        if held is not None and (self._is_the_helds or not self.turns):
            self.held.move_to_end(held)
            _, taken = self.held[held].take()
            self._is_the_helds = False
        elif self.turns:
            _, taken = self.turns.take()
            self._is_the_helds = True
        else:
            return None
        self._forget(taken)
        return taken

    def take_overdue(self, now_ms: int) -> Taken | None:
        taken = self.deadlines.first_due(now_ms)
        if taken is not None:
            (self.turns if taken.held_for is None else self.held[taken.held_for]).remove(taken.whose, taken)
            self._forget(taken)
        return taken

    def oldest(self) -> Iterator[Taken]:
        yield from self.turns.oldest()
        for held in self.held.values():
            yield from held.oldest()

    def _forget(self, taken: Taken) -> None:
        self.count -= 1
        self.bytes -= taken.size
        if taken.held_for is not None and not self.held[taken.held_for]:
            del self.held[taken.held_for]
        if taken.deadline is not None:
            self.deadlines.discard(taken.deadline)
            taken.deadline = None


class Backlog:
    """By lane and tenant. `weight` says how many of a tenant's requests go in one turn."""

    def __init__(self, bound: ReadAhead, weight: Callable[[str], int]) -> None:
        self._bound = bound
        self._weight = weight
        self._lines: dict[Priority, _Line] = {}
        self.clear()

    def __len__(self) -> int:
        return sum(line.count for line in self._lines.values())

    def clear(self) -> None:
        """Whoever owns the partitions now reads it again."""
        priorities: tuple[Priority, ...] = ("high", "normal", "low")
        self._lines = {priority: _Line(self._weight) for priority in priorities}

    def count(self, priority: Priority) -> int:
        return self._lines[priority].count

    def has_turns(self, priority: Priority) -> bool:
        """Whether somebody waits for nothing but a place in the lane."""
        return bool(self._lines[priority].turns)

    def holds(self, priority: Priority, what: Awaited) -> bool:
        return what in self._lines[priority].held

    def room(self, priority: Priority) -> int:
        line = self._lines[priority]
        return 0 if line.bytes >= self._bound.bytes else max(self._bound.requests - line.count, 0)

    def add(self, priority: Priority, taken: Taken, held_for: Awaited | None = None) -> None:
        taken.held_for = held_for
        self._lines[priority].add(taken)

    def take(self, priority: Priority, has_room: Callable[[Awaited], bool]) -> Taken | None:
        """Whose turn it is. `has_room` is asked of what those wait for who were set back."""
        return self._lines[priority].take(has_room)

    def overdue(self, now_ms: int, most: int) -> list[tuple[Priority, Taken]]:
        """Those whose deadline has come; they wait no longer."""
        found: list[tuple[Priority, Taken]] = []
        for priority, line in self._lines.items():
            while len(found) < most and (taken := line.take_overdue(now_ms)) is not None:
                found.append((priority, taken))
        return found

    @property
    def oldest_ms(self) -> int | None:
        """When the one that has waited longest was read."""
        return min((each.taken_ms for line in self._lines.values() for each in line.oldest()), default=None)
