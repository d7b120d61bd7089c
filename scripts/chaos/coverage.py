"""How much of what was planned was done: a run that skipped what it was to break has proved little."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from scripts.chaos.kinds import KINDS, LANES
from scripts.chaos.schedule import Planned
from scripts.chaos.verdict import Invariant, judged

LEAST_SHARE: Final = 0.7
LEAST_SHARE_OF_A_LANE: Final = 0.5
_LANES_OF: Final = 10
"""A lane of fewer faults than this is not judged alone: a machine that is busy once would decide."""

Counts = dict[str, int]


def as_planned(planned: Sequence[Planned], done: frozenset[int]) -> Invariant:
    """A check is a planned fault; `done` are ids."""
    wrong = [_short("all", planned, done, LEAST_SHARE)] if planned else []
    for lane in LANES:
        of_lane = [each for each in planned if each.lane == lane]
        if len(of_lane) >= _LANES_OF:
            wrong.append(_short(f"the lane {lane}", of_lane, done, LEAST_SHARE_OF_A_LANE))
    return judged("faults were injected as planned", len(planned), [each for each in wrong if each])


def _short(whose: str, planned: Sequence[Planned], done: frozenset[int], least: float) -> str:
    """What is missing, in words; empty when enough was done."""
    count = sum(each.id in done for each in planned)
    if count >= least * len(planned):
        return ""
    return f"{count} of the {len(planned)} faults of {whose} were injected, {least:.0%} are the least"


def by_lane(planned: Iterable[Planned], journal: Iterable[Mapping[str, Any]]) -> dict[str, Counts]:
    """`planned`, `injected` and `skipped` faults."""
    lanes = {each.id: each.lane for each in planned}
    return _counted(LANES, lanes, journal)


def by_kind(planned: Iterable[Planned], journal: Iterable[Mapping[str, Any]]) -> dict[str, Counts]:
    """`planned`, `injected` and `skipped` faults."""
    kinds = {each.id: each.kind for each in planned}
    return _counted(KINDS, kinds, journal)


def _counted(
    names: Iterable[str], name_of: Mapping[int, str], journal: Iterable[Mapping[str, Any]]
) -> dict[str, Counts]:
    planned = Counter(name_of.values())
    events: Counter[tuple[str, str]] = Counter()
    for line in journal:
        if line["event"] in ("injected", "skipped") and line["id"] in name_of:
            events[line["event"], name_of[line["id"]]] += 1
    return {
        name: {"planned": planned[name], "injected": events["injected", name], "skipped": events["skipped", name]}
        for name in names
        if planned[name]
    }
