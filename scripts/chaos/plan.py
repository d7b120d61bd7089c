"""What a run was asked for, and where its files are."""

from dataclasses import dataclass, field
from pathlib import Path

from scripts.chaos.kinds import OPTIONS, Option
from scripts.chaos.schedule import Planned, schedule
from scripts.local.layout import RUN_FOLDER, Layout


@dataclass(frozen=True, slots=True)
class RunPlan:
    seed: int
    minutes: float
    rate: float
    faults: frozenset[Option] = field(default=OPTIONS)

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
        words = f"make chaos SEED={self.seed} MINUTES={self.minutes:g} RATE={self.rate:g}"
        return words if self.faults == OPTIONS else f"{words} FAULTS={','.join(map(str, sorted(self.faults)))}"
