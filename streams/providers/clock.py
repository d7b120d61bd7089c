"""The two times a call needs: one to measure with, one to compare with a provider's date."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from streams import clock


@dataclass(frozen=True, slots=True)
class Clock:
    monotonic_s: Callable[[], float] = time.monotonic
    now_ms: Callable[[], int] = clock.now_ms


SYSTEM_CLOCK = Clock()
