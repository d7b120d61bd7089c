"""The two times a call needs: one to measure with, one to compare with a provider's date."""

import time
from collections.abc import Callable
from dataclasses import dataclass


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Clock:
    monotonic_s: Callable[[], float] = time.monotonic
    now_ms: Callable[[], int] = _wall_ms


SYSTEM_CLOCK = Clock()
