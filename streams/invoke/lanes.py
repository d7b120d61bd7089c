"""A pool of calls for each priority, so that a flood in one lane leaves the others their places."""

from collections.abc import Iterable, Mapping

from schemas.request import Priority

IN_ORDER: tuple[Priority, ...] = ("high", "normal", "low")
WAITING_PER_PLACE = 2
"""So many may wait beside a lane for each that calls in it; then it takes no more: each holds its prompt and its task,
some 25 KB, and what that takes at the worst stays with the process."""


class Lanes:
    """Whoever only waits, for Retry-After, a breaker or a busy deployment, stands beside its lane and leaves its place
    to others. It comes back without asking: a lane may then hold more than its size for a while and takes nothing new,
    while the calls at once stay bounded by each deployment's own limit.
    """

    def __init__(self, sizes: Mapping[Priority, int]) -> None:
        self._sizes = sizes
        self._taken: dict[Priority, int] = dict.fromkeys(IN_ORDER, 0)
        self._beside: dict[Priority, int] = dict.fromkeys(IN_ORDER, 0)

    def room(self, priority: Priority) -> int:
        size, taken = self._sizes[priority], self._taken[priority]
        return max(min(size - (taken - self._beside[priority]), size * (1 + WAITING_PER_PLACE) - taken), 0)

    def enter(self, priority: Priority) -> None:
        self._taken[priority] += 1

    def leave(self, priority: Priority) -> None:
        self._taken[priority] -= 1

    def step_aside(self, priority: Priority) -> None:
        self._beside[priority] += 1

    def come_back(self, priority: Priority) -> None:
        self._beside[priority] -= 1

    def calling(self, priority: Priority) -> int:
        """Those that do not wait for anything."""
        return self._taken[priority] - self._beside[priority]

    def counts(self) -> Iterable[tuple[Priority, int]]:
        """All that were taken and have not ended, whether they call or wait."""
        return self._taken.items()
