"""How long a request that comes now will wait in its lane: those before it, at the rate at which requests end."""

import math
from collections import deque

WINDOW_MS = 60_000
"""Ends of this last while make the rate; a shorter one would jump with every long call."""


class Ends:
    """Counts the ends of one lane. `per_s` is None before it has seen any time pass."""

    def __init__(self, now_ms: int) -> None:
        self._total = 0
        self._seen: deque[tuple[int, int]] = deque([(now_ms, 0)])

    def ended(self) -> None:
        self._total += 1

    def per_s(self, now_ms: int) -> float | None:
        """Over the last `WINDOW_MS`, or since the beginning. To be asked every few seconds."""
        while len(self._seen) > 1 and self._seen[1][0] <= now_ms - WINDOW_MS:
            self._seen.popleft()
        since_ms, before = self._seen[0]
        self._seen.append((now_ms, self._total))
        return None if now_ms <= since_ms else (self._total - before) * 1_000 / (now_ms - since_ms)


def wait_s(waiting: int, per_s: float | None) -> float:
    """Infinite where requests wait and none ends: nobody can say."""
    if waiting <= 0:
        return 0.0
    return waiting / per_s if per_s else math.inf
