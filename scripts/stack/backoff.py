"""How long a process that died waits before it is started again."""

from dataclasses import dataclass
from typing import Final

# 2.0 to a higher power than this is beyond any cap, and a float to a much higher one overflows.
_LAST_POWER: Final = 64


@dataclass(frozen=True, slots=True)
class Backoff:
    """The first restart is quick; each further death soon after a start multiplies the wait, up to the cap."""

    first_s: float = 0.25
    factor: float = 2.0
    cap_s: float = 15.0
    forgive_after_s: float = 30.0
    """A process that ran this long was healthy: its death counts as the first."""

    def __post_init__(self) -> None:
        if not 0 < self.first_s <= self.cap_s or self.factor < 1:
            raise ValueError("a backoff starts above 0, never shrinks and has a cap above its start")

    def deaths(self, before: int, ran_s: float) -> int:
        """Deaths in a row, including the one after `ran_s` of running."""
        return 1 if ran_s >= self.forgive_after_s else before + 1

    def delay_s(self, deaths: int) -> float:
        """The wait after that many deaths in a row, at least one."""
        return min(self.cap_s, self.first_s * self.factor ** min(deaths - 1, _LAST_POWER))
