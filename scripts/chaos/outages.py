"""When brokers, or the way to them, were broken: meanwhile nothing that needs them can be blamed for not working."""

import threading
from collections.abc import Callable
from typing import Final

from scripts.chaos.schedule import Planned

RECOVERS_WITHIN_S: Final = 60.0
AT_LAST_S: Final = 180.0
"""However often brokers are broken meanwhile: they are never left alone for long."""


def deadline_s(broken_until_s: float, works_from_s: float, outage_until_s: float) -> float:
    """When what was broken has to work again. All are monotonic times.

    `broken_until_s`: the end of its fault; `works_from_s`: the last start of its process, if that was later;
    `outage_until_s`: the end of the last outage since.
    """
    within_s = max(broken_until_s, works_from_s, outage_until_s) + RECOVERS_WITHIN_S
    return min(within_s, broken_until_s + AT_LAST_S)


class Outages:
    """May be told and asked from any thread."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()
        self._open: set[int] = set()
        self._ended_s: dict[int, float] = {}

    def began(self, planned: Planned) -> None:
        if planned.part == "broker":
            with self._lock:
                self._open.add(planned.id)

    def ended(self, planned: Planned) -> None:
        with self._lock:
            if planned.id in self._open:
                self._open.remove(planned.id)
                self._ended_s[planned.id] = self._now_s()

    def until_s(self, but: Planned) -> float:
        """End of the last outage that is not `but`'s own: now while there is one, and 0 when there was none."""
        with self._lock:
            if self._open - {but.id}:
                return self._now_s()
            return max((at_s for number, at_s in self._ended_s.items() if number != but.id), default=0.0)
