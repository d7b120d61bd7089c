"""What is to become of a table's windows when a page is closed: each is read once and written once, however many rows
change it, and none is written when the page is not closed.
"""

from typing import Generic, Protocol, TypeVar

E = TypeVar("E")


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
