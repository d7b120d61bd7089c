"""What a run was asked for, and where its files are."""

from dataclasses import dataclass, field
from pathlib import Path

from scripts.chaos.kinds import OPTIONS, Option
from scripts.chaos.schedule import Planned, schedule
from scripts.local.layout import RUN_FOLDER, Layout

LEAST_MINUTES = 0.75
"""Calm before and after the faults takes the most of it."""
MOST_MINUTES = 24 * 60
LEAST_RATE, MOST_RATE = 0.1, 10_000


@dataclass(frozen=True, slots=True)
class RunPlan:
    seed: int
    minutes: float
    rate: float
    faults: frozenset[Option] = field(default=OPTIONS)

    def __post_init__(self) -> None:
        """ValueError says which number cannot be."""
        if self.seed < 0:
            raise ValueError(f"a seed is 0 or more, not {self.seed}")
        if not LEAST_MINUTES <= self.minutes <= MOST_MINUTES:
            raise ValueError(
                f"a run takes at least {LEAST_MINUTES} minutes and at most {MOST_MINUTES}, not {self.minutes:g}"
            )
        if not LEAST_RATE <= self.rate <= MOST_RATE:
            raise ValueError(f"the load is {LEAST_RATE} to {MOST_RATE} requests a second, not {self.rate:g}")
        if not self.schedule:
            raise ValueError(
                f"none of these faults fits into {self.minutes:g} minutes: give it more time, or more kinds"
            )

    @property
    def layout(self) -> Layout:
        return Layout(RUN_FOLDER / "chaos" / str(self.seed))

    def file(self, name: str) -> Path:
        return self.layout.folder / name

    @property
    def schedule(self) -> tuple[Planned, ...]:
        return schedule(self.seed, self.minutes, self.faults)

    @property
    def replay(self) -> str:
        """The command that runs it again."""
        words = f"make chaos SEED={self.seed} MINUTES={self.minutes:.15g} RATE={self.rate:.15g}"
        return words if self.faults == OPTIONS else f"{words} FAULTS={','.join(map(str, sorted(self.faults)))}"
