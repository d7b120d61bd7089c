"""Virtual time, and what will happen in it."""

import heapq
from collections.abc import Callable

Action = Callable[[], None]


class Timeline:
    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self._due: list[tuple[int, int, Action]] = []
        self._count = 0

    def after(self, delay_ms: int, action: Action) -> None:
        """What is due at the same millisecond happens in the order in which it was announced."""
        heapq.heappush(self._due, (self.now_ms + max(delay_ms, 0), self._count, action))
        self._count += 1

    @property
    def next_ms(self) -> int | None:
        return self._due[0][0] if self._due else None

    def advance(self, to_ms: int) -> None:
        """Everything due until then happens, each at its own time."""
        while self._due and self._due[0][0] <= to_ms:
            due_ms, _, action = heapq.heappop(self._due)
            self.now_ms = max(self.now_ms, due_ms)
            action()
        self.now_ms = max(self.now_ms, to_ms)
