"""The wall clock, in the unit all events carry, and never set back.

Ages and intervals are differences of this clock. Were the machine's set back by a minute, a proof of membership would
hold a minute too long, and nothing would be committed meanwhile; set forward by hours, what has been answered would be
forgotten.
"""

import time
from collections.abc import Callable

from streams.observe.logs import logger

log = logger(__name__)
LOOK_NS = 1_000_000_000
STEP_NS = 2_000_000_000
"""The machine's clock has been set, and did not drift: what clocks may differ by at all."""
SLEW = 100
"""What ages may be off by, at most, while the clock follows: one part in so many."""


class SteadyClock:
    """Runs as the monotonic clock does, and follows the machine's wall clock by one percent of the time that passes. A
    clock set wrong by a minute is right again after a hundred; sooner when the process is started anew.
    """

    def __init__(
        self, wall_ns: Callable[[], int] = time.time_ns, monotonic_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._looked_ns = monotonic_ns()
        self._ahead_ns = wall_ns() - self._looked_ns
        self._is_apart = False

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC; never less than before."""
        monotonic_ns = self._monotonic_ns()
        if monotonic_ns - self._looked_ns >= LOOK_NS:
            self._follow(monotonic_ns)
        return (monotonic_ns + self._ahead_ns) // 1_000_000

    def _follow(self, monotonic_ns: int) -> None:
        most_ns = (monotonic_ns - self._looked_ns) // SLEW
        self._looked_ns = monotonic_ns
        off_ns = self._wall_ns() - monotonic_ns - self._ahead_ns
        self._ahead_ns += max(-most_ns, min(off_ns, most_ns))
        was_apart, self._is_apart = self._is_apart, abs(off_ns) > STEP_NS
        if self._is_apart and not was_apart:
            log.warning("clock_was_set", by_ms=off_ns // 1_000_000)


now_ms = SteadyClock().now_ms


def elapsed_us() -> int:
    """Microseconds since some moment: for how long something takes."""
    return time.perf_counter_ns() // 1_000
