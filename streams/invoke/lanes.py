"""A pool of calls for each priority, so that a flood in one lane leaves the others their places."""

from collections import Counter
from collections.abc import Iterable, Mapping

from schemas.request import Priority
from streams.invoke.beside import Awaited

IN_ORDER: tuple[Priority, ...] = ("high", "normal", "low")
WAITING_PER_PLACE = 2
"""So many may wait beside a lane for each that calls in it; then it takes no more: each holds its prompt and its task,
some 25 KB, and what that takes at the worst stays with the process."""
_OF_WHAT_IS_LEFT = 3
"""For any one thing a third of what nobody has taken yet (dynamic thresholds, Choudhury and Hahne): half of the lane's
size where all wait for the same, and with many deployments dead there is room left to wait for another."""


class Lanes:
    """Whoever only waits, for Retry-After, a breaker or a busy deployment, stands beside its lane and leaves its place
    to others. It comes back without asking: a lane may then hold more than its size for a while and takes nothing new,
    while the calls at once stay bounded by each deployment's own limit.
    """

    def __init__(self, sizes: Mapping[Priority, int]) -> None:
        self._sizes = sizes
        self._taken: dict[Priority, int] = dict.fromkeys(IN_ORDER, 0)
        self._beside: dict[Priority, int] = dict.fromkeys(IN_ORDER, 0)
        self._claims: dict[Priority, Counter[Awaited]] = {priority: Counter() for priority in IN_ORDER}
        self._claimed: dict[Priority, int] = dict.fromkeys(IN_ORDER, 0)

    def room(self, priority: Priority) -> int:
        size, taken = self._sizes[priority], self._taken[priority]
        return max(min(size - (taken - self._beside[priority]), size * (1 + WAITING_PER_PLACE) - taken), 0)

    def has_room_beside(self, priority: Priority, what: Awaited) -> bool:
        """Whether one more may wait for that; one always may."""
        mine = self._claims[priority][what]
        left = self._sizes[priority] * WAITING_PER_PLACE - self._claimed[priority]
        return mine == 0 or mine * _OF_WHAT_IS_LEFT < left

    def enter(self, priority: Priority) -> None:
        self._taken[priority] += 1

    def leave(self, priority: Priority) -> None:
        self._taken[priority] -= 1

    def claim(self, priority: Priority, what: Awaited) -> None:
        """For one that will probably step aside."""
        self._claims[priority][what] += 1
        self._claimed[priority] += 1

    def unclaim(self, priority: Priority, what: Awaited) -> None:
        claims = self._claims[priority]
        claims[what] -= 1
        if not claims[what]:
            del claims[what]
        self._claimed[priority] -= 1

    def step_aside(self, priority: Priority, what: Awaited) -> None:
        self._beside[priority] += 1
        self.claim(priority, what)

    def come_back(self, priority: Priority, what: Awaited) -> None:
        self._beside[priority] -= 1
        self.unclaim(priority, what)

    def calling(self, priority: Priority) -> int:
        """Those that do not wait for anything."""
        return self._taken[priority] - self._beside[priority]

    def counts(self) -> Iterable[tuple[Priority, int]]:
        """All that were taken and have not ended, whether they call or wait."""
        return self._taken.items()
