"""What is to become of a table's windows when a page is closed: each is read once and written once, however many rows
change it, and none is written when the page is not closed.
"""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar, cast

E = TypeVar("E")
E_co = TypeVar("E_co", covariant=True)


class Windows(Protocol[E]):
    """A table's; all times of one window, which is `span_ms` long, find the same event."""

    @property
    def span_ms(self) -> int: ...

    def at(self, key: str, time_ms: int) -> E: ...
    def put(self, key: str, time_ms: int, event: E) -> None: ...


class Draft(Generic[E]):
    def __init__(self, windows: Windows[E]) -> None:
        self._windows = windows
        self._known: dict[tuple[str, int], E] = {}
        self._changed: set[tuple[str, int]] = set()

    def at(self, key: str, time_ms: int) -> E:
        where = (key, time_ms // self._windows.span_ms)
        if where not in self._known:
            self._known[where] = self._windows.at(key, time_ms)
        return self._known[where]

    def last(self, key: str, time_ms: int, count: int) -> list[E]:
        """The `count` windows up to that time, newest first; those without an event are empty, not missing."""
        return [self.at(key, time_ms - back * self._windows.span_ms) for back in range(count)]

    def put(self, key: str, time_ms: int, event: E) -> None:
        where = (key, time_ms // self._windows.span_ms)
        self._known[where] = event
        self._changed.add(where)

    def write(self) -> None:
        """Raises TableError."""
        for key, window in self._changed:
            self._windows.put(key, window * self._windows.span_ms, self._known[key, window])


class Tally(Protocol[E_co]):
    """An event while something is counted into it: it is changed in place, an event is made anew."""

    @property
    def event(self) -> E_co: ...


T = TypeVar("T", bound=Tally[object])


class Tallies(Generic[E, T]):
    """A draft of tallies; `begin` makes one of what is in the window."""

    def __init__(self, windows: Windows[E], begin: Callable[[E], T]) -> None:
        self._draft = Draft(windows)
        self._span_ms = windows.span_ms
        self._begin = begin
        self._tallies: dict[tuple[str, int], T] = {}

    def at(self, key: str, time_ms: int) -> T:
        where = (key, time_ms // self._span_ms)
        if where not in self._tallies:
            self._tallies[where] = self._begin(self._draft.at(key, time_ms))
        return self._tallies[where]

    def write(self) -> None:
        """Raises TableError."""
        for (key, window), tally in self._tallies.items():
            self._draft.put(key, window * self._span_ms, cast("E", tally.event))
        self._draft.write()
