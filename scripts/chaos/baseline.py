"""Whether the system takes, after all faults, about what it took before the first: what grows without end is lost.

Left out are brokers, as a Java heap grows to what it was allowed, and the threads of ClickHouse, which keeps those of
its busiest moment.
"""

from collections.abc import Callable, Iterable, Sequence
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


def compared(before: Sequence[Observation], after: Sequence[Observation]) -> list[Invariant]:
    """One invariant for each allowance; a check is one process after the faults, against the most that any of its
    part took before.
    """
    return [_compared(allowance, before, after) for allowance in ALLOWANCES]


def no_lag(after: Sequence[Observation]) -> Invariant:
    """The last lag that could be told."""
    last = next((each.lag for each in reversed(after) if each.lag is not None), None)
    if last is None:
        return judged("lag returns to zero", 0, ["no broker could tell the lag at the end"])
    waiting = [f"{count} records wait for {part}" for part, count in last.items() if count]
    return judged("lag returns to zero", len(last), waiting)


def _compared(allowance: Allowance, before: Sequence[Observation], after: Sequence[Observation]) -> Invariant:
    most = _most(allowance, before)
    checks = 0
    wrong: list[str] = []
    for name, amount in _last(allowance, after).items():
        baseline = most.get(part_of(name))
        if baseline is None:
            continue
        checks += 1
        allowed = int(baseline * allowance.factor) + allowance.plus
        if amount > allowed:
            wrong.append(f"{name} has {amount} {allowance.unit}; before it was {baseline}, allowed are {allowed}")
    return judged(allowance.name, checks, wrong)


def _most(allowance: Allowance, observations: Iterable[Observation]) -> dict[str, int]:
    """By part."""
    found: dict[str, int] = {}
    for observation in observations:
        for name, taken in observation.processes.items():
            if (part := part_of(name)) not in allowance.without:
                found[part] = max(found.get(part, 0), allowance.of(taken))
    return found


def _last(allowance: Allowance, observations: Iterable[Observation]) -> dict[str, int]:
    """By process, of those that run at the end."""
    last: Observation | None = None
    for observation in observations:
        last = observation
    return {} if last is None else {name: allowance.of(taken) for name, taken in last.processes.items()}


def part_of(name: str) -> str:
    """`limit-2` is a `limit`."""
    head, _, tail = name.rpartition("-")
    return head if tail.isdecimal() else name
