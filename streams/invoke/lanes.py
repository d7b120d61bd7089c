"""A pool of calls for each priority, so that a flood in one lane leaves the others their places."""

from collections.abc import Iterable, Mapping

from schemas.request import Priority

IN_ORDER: tuple[Priority, ...] = ("high", "normal", "low")


class Lanes:
    def __init__(self, sizes: Mapping[Priority, int]) -> None:
        self._sizes = sizes
        self._taken: dict[Priority, int] = dict.fromkeys(IN_ORDER, 0)

    def open(self) -> list[Priority]:
        """Those with room, the most urgent first."""
        return [priority for priority in IN_ORDER if self.room(priority) > 0]

    def room(self, priority: Priority) -> int:
        return self._sizes[priority] - self._taken[priority]

    def enter(self, priority: Priority) -> None:
        self._taken[priority] += 1

    def leave(self, priority: Priority) -> None:
        self._taken[priority] -= 1

    def counts(self) -> Iterable[tuple[Priority, int]]:
        return self._taken.items()
