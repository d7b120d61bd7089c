"""Whether the group still counts on this worker, known and not assumed: a commit that the group took is the proof.

A member's partitions go to nobody else before its session has run out, which each commit begins anew. As long as the
latest proof is younger than the limit, what is begun here is begun by nobody else.
"""

import asyncio
from collections.abc import Callable

BEAT_S = 0.25
PROVE_S = 1.0


class Pulse:
    """`lost` is told. `check` is also asked wherever a call would begin: whatever runs first after the limit, because
    the loop stood still or the group did not answer, learns of it first.
    """

    def __init__(self, limit_s: float, lost: Callable[[], None], clock_s: Callable[[], float]) -> None:
        self._limit_s = limit_s
        self._lost = lost
        self._clock_s = clock_s
        self._heard_s: float | None = None

    @property
    def is_felt(self) -> bool:
        """Whether the group has said that it counts on us, and that has neither been lost nor given up since."""
        return self._heard_s is not None

    @property
    def is_fading(self) -> bool:
        """Time for another proof."""
        return self._heard_s is not None and self._clock_s() - self._heard_s >= min(PROVE_S, self._limit_s / 4)

    def now_s(self) -> float:
        return self._clock_s()

    def heard(self, asked_s: float) -> None:
        """The group took what it was sent at that moment, or later."""
        self._heard_s = asked_s if self._heard_s is None else max(self._heard_s, asked_s)

    def rest(self) -> None:
        """Nothing is held any more that could be lost."""
        self._heard_s = None

    def check(self) -> None:
        """Tells once of each loss."""
        if self._heard_s is not None and self._clock_s() - self._heard_s > self._limit_s:
            self._heard_s = None
            self._lost()

    async def beat(self) -> None:
        """For as long as it is not cancelled."""
        while True:
            self.check()
            await asyncio.sleep(BEAT_S)
