"""One quantity measured in several rounds: its median and how far the rounds lie apart."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """`values` by round, at least one."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("a figure needs a round")

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)

    @property
    def spread(self) -> float:
        return self.high - self.low

    def as_json(self) -> dict[str, Any]:
        return {"median": self.median, "low": self.low, "high": self.high, "rounds": list(self.values)}


def figure(values: Iterable[float]) -> Figure | None:
    """None where no round had one."""
    known = tuple(values)
    return Figure(known) if known else None


def by_round(above: Sequence[float], below: Sequence[float]) -> Figure | None:
    """The ratio within each round: what made a round slow made both slow. Rounds are paired in order."""
    return figure(a / b for a, b in zip(above, below, strict=False) if b > 0)


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share does not exceed. Raises ValueError for none."""
    if not values:
        raise ValueError("nothing was measured")
    return sorted(values)[max(ceil(len(values) * share), 1) - 1]
