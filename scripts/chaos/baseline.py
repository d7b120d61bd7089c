"""Whether the system takes, after all faults, about what it took before the first: what grows without end is lost.

Left out are brokers, as a Java heap grows to what it was allowed, and the threads of ClickHouse, which keeps those of
its busiest moment.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from scripts.chaos.observation import Observation, Taken
from scripts.chaos.verdict import Invariant, judged


@dataclass(frozen=True, slots=True)
class Allowance:
    """After at most `factor` times before, and so much on top."""

    name: str
    unit: str
    of: Callable[[Taken], int]
    factor: float
    plus: int
    without: tuple[str, ...] = ("broker",)


ALLOWANCES: Final = (
    Allowance("memory returns to the baseline", "KB", lambda taken: taken.rss_kb, factor=1.5, plus=48 * 1024),
    Allowance(
        "threads return to the baseline",
        "threads",
        lambda taken: taken.threads,
        factor=1.25,
        plus=4,
        without=("broker", "clickhouse"),
    ),
    Allowance("open files return to the baseline", "open files", lambda taken: taken.files, factor=1.25, plus=24),
)


def compared(ready: Mapping[str, int], before: Sequence[Observation], after: Observation) -> list[Invariant]:
    """One invariant for each allowance; a check is one process after the faults, against the most that any of its
    part took before.

    `ready` has the pids of those that worked when the load began: what was only being started took less than it takes
    at work, and is no measure.
    """
    measured = [
        {name: taken for name, taken in each.processes.items() if taken.pid == ready.get(name)} for each in before
    ]
    return [_compared(allowance, measured, after) for allowance in ALLOWANCES]


def no_lag(after: Observation) -> Invariant:
    if after.lag is None:
        return judged("lag returns to zero", 0, [f"no broker could tell the lag at the end: {after.without_lag}"])
    waiting = [f"{count} records wait for {part}" for part, count in after.lag.items() if count]
    return judged("lag returns to zero", len(after.lag), waiting)


def _compared(allowance: Allowance, before: Iterable[Mapping[str, Taken]], after: Observation) -> Invariant:
    most = _most(allowance, before)
    checks = 0
    wrong: list[str] = []
    for name, taken in after.processes.items():
        baseline = most.get(part_of(name))
        if baseline is None:
            continue
        checks += 1
        amount = allowance.of(taken)
        allowed = int(baseline * allowance.factor) + allowance.plus
        if amount > allowed:
            wrong.append(f"{name} has {amount} {allowance.unit}; before it was {baseline}, allowed are {allowed}")
    return judged(allowance.name, checks, wrong)


def _most(allowance: Allowance, observed: Iterable[Mapping[str, Taken]]) -> dict[str, int]:
    """By part."""
    found: dict[str, int] = {}
    for processes in observed:
        for name, taken in processes.items():
            if (part := part_of(name)) not in allowance.without:
                found[part] = max(found.get(part, 0), allowance.of(taken))
    return found


def part_of(name: str) -> str:
    """`limit-2` is a `limit`."""
    head, _, tail = name.rpartition("-")
    return head if tail.isdecimal() else name
