"""Which stage got slower: its CPU as a share of the floor's request, against a baseline that is committed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from scripts.bench.figure import Figure

LEAST: Final = 0.05
"""What a stage may differ by though both sides were steady: rounds are few."""

_COMPARED: Final = ("floor", "millrace")
Verdict = Literal["slower", "faster", "as before"]


class UnfitBaseline(Exception):
    """There is nothing to compare with; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Shares of the floor's CPU for a request."""

    stage: str
    before: Figure
    now: Figure

    @property
    def change(self) -> float:
        """0.1 is a tenth more."""
        return self.now.median / self.before.median - 1 if self.before.median else 0.0

    @property
    def verdict(self) -> Verdict:
        """A change counts when it is more than either side's rounds lie apart, and more than LEAST."""
        noise = max(self.before.spread, self.now.spread, LEAST * self.before.median)
        moved = self.now.median - self.before.median
        if moved > noise:
            return "slower"
        return "faster" if -moved > noise else "as before"


def read(path: Path) -> dict[str, Any]:
    """A result as it was written. Raises UnfitBaseline."""
    try:
        return orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise UnfitBaseline(f"there is no {path}: make bench QUICK=1 BASELINE=1 writes one") from None
    except orjson.JSONDecodeError as error:
        raise UnfitBaseline(f"{path} is not JSON: {error}") from None


def compare(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Compared]:
    """By stage, those that both have. Raises UnfitBaseline where the runs were of different size: what a process
    spends while it has nothing to do is shared among the requests.
    """
    if any(before["plan"]["requests"][name] != now["plan"]["requests"][name] for name in _COMPARED):
        raise UnfitBaseline(
            f"the baseline is of a {before['plan']['name']} run and this is a {now['plan']['name']} one: "
            "they are of different size; make bench QUICK=1 BASELINE=1 writes a new one"
        )
    found: list[Compared] = []
    for stage, figures in now["stages"].items():
        earlier = before["stages"].get(stage)
        if earlier is not None and earlier["to_floor"] is not None and figures["to_floor"] is not None:
            found.append(Compared(stage, _figure(earlier["to_floor"]), _figure(figures["to_floor"])))
    return found


def _figure(said: Mapping[str, Any]) -> Figure:
    return Figure(tuple(said["rounds"]))
