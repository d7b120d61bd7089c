"""Notices that the group has not heard of this process for so long that it may have given its partitions away."""

import asyncio
from collections.abc import Callable

BEAT_S = 0.25


class Pulse:
    """`stood_still` is told. `check` is also asked wherever a call would begin: whatever runs first after a standstill
    learns of it first.
    """

    def __init__(self, limit_s: float, stood_still: Callable[[], None], clock_s: Callable[[], float]) -> None:
        self._limit_s = limit_s
        self._stood_still = stood_still
        self._clock_s = clock_s
        self._beat_s = clock_s()

    def check(self) -> None:
        """Tells once of each standstill of more than the limit."""
        before_s, self._beat_s = self._beat_s, self._clock_s()
        if self._beat_s - before_s > self._limit_s:
            self._stood_still()

    def waited(self, seconds: float) -> None:
        """For the broker to acknowledge something: it may have heard nothing of us in all that time."""
        if seconds > self._limit_s:
            self._stood_still()

    async def beat(self) -> None:
        """For as long as it is not cancelled."""
        while True:
            self.check()
            await asyncio.sleep(BEAT_S)
