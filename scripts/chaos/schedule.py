"""Which faults happen when: a pure function of the seed, the length and the faults that were chosen."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random
from types import MappingProxyType
from typing import Final, get_args

from scripts.chaos.kinds import LANES, Kind, Lane, Option, ProviderKind

SESSION_S: Final = 10
"""Session timeout of a run's workers: short, so that a pause beyond it fits into a short run."""
BROKERS: Final = 3
COPIES: Final = 2
"""Processes of each stage and of the sink."""
CALM_BEFORE_S: Final = 12.0
"""Load without faults: what is measured then is the baseline."""
CALM_AFTER_S: Final = 15.0
"""The last fault is healed so long before the load ends."""
_GAP_S: Final[Mapping[Lane, tuple[float, float]]] = MappingProxyType(
    {"ends": (3, 8), "pauses": (5, 12), "brokers": (4, 10), "network": (8, 18), "provider": (6, 16)}
)
_SOME_CALLS: Final = (6.0, 14.0)
LASTS_S: Final[Mapping[Kind, tuple[float, float]]] = MappingProxyType(
    {
        "kill": (1, 6),
        "term": (1, 6),
        "two-brokers": (1, 6),
        "freeze": (SESSION_S + 2, SESSION_S + 6),
        "disk": (6, 12),
        "scale": (6, 12),
        "leaders": (0, 0),
        "cut": (0, 0),
        "refuse": (6, 12),
        "drop": (4, SESSION_S + 5),
        "stall": (4, SESSION_S + 5),
        "delay": (8, 16),
        **dict.fromkeys(get_args(ProviderKind), _SOME_CALLS),
    }
)
_APART_S: Final = 5.0
_OF_PROCESSES: Final = frozenset({"kill", "term", "freeze", "disk"})
_ONE_OF_EACH: Final = ("watch", "clickhouse", "simulator")


@dataclass(frozen=True, slots=True)
class Planned:
    """`at_s` counts from the start of the load. `strength` in [0, 1) says how much, where there is a how much."""

    id: int
    lane: Lane
    kind: Kind
    part: str
    target: str
    at_s: float
    for_s: float
    strength: float

    @property
    def until_s(self) -> float:
        return self.at_s + self.for_s


@lru_cache(maxsize=8)
def schedule(seed: int, minutes: float, chosen: frozenset[Option]) -> tuple[Planned, ...]:
    """In the order in which they begin; none where there is no time for any. A day's takes half a minute to draw."""
    end_s = minutes * 60 - CALM_AFTER_S
    drawn: list[Planned] = []
    for lane, options in LANES.items():
        possible = [option for option in options if option in chosen]
        draw = Random(f"{seed} {lane}")  # noqa: S311  # drawn to be drawn again
        drawn += _lane(lane, possible, draw, end_s, [each for each in drawn if each.kind in _OF_PROCESSES])
    drawn.sort(key=lambda each: (each.at_s, each.lane))
    return tuple(replace(each, id=number + 1) for number, each in enumerate(drawn))


def _lane(
    lane: Lane, options: Sequence[Option], draw: Random, end_s: float, others: Sequence[Planned]
) -> Iterator[Planned]:
    """The least used kind, and of its parts the least used one, come next; `others` keep their targets to themselves
    for as long as they last.
    """
    kinds: Counter[str] = Counter()
    pairs: Counter[Option] = Counter()
    parts: Counter[str] = Counter()
    at_s = round(CALM_BEFORE_S + draw.uniform(0, 3), 1)
    while at_s < end_s:
        free = {option: [t for t in _targets(option) if not _is_busy(t, option, at_s, others)] for option in options}
        luck = {option: draw.random() for option, targets in free.items() if targets}
        if luck:
            option = min(luck, key=lambda o: (kinds[o.kind], pairs[o], parts[o.part], luck[o]))
            for_s = round(draw.uniform(*lasts_s(option)), 1)
            target = draw.choice(free[option])
            if at_s + for_s <= end_s:
                yield Planned(0, lane, option.kind, option.part, target, at_s, for_s, round(draw.random(), 3))
            kinds[option.kind] += 1
            pairs[option] += 1
            parts[option.part] += 1
            at_s += for_s + recovers_s(option)
        at_s = round(at_s + draw.uniform(*_GAP_S[lane]), 1)


def _is_busy(target: str, option: Option, at_s: float, others: Sequence[Planned]) -> bool:
    """Whether it is, or will be, another fault's while this one lasts and it recovers."""
    end_s = at_s + lasts_s(option)[1] + _APART_S
    return option.kind in _OF_PROCESSES and any(
        each.target == target and each.at_s < end_s and at_s < each.until_s + _APART_S for each in others
    )


def _targets(option: Option) -> list[str]:
    """Names of processes or of gates."""
    if option.part in _ONE_OF_EACH:
        return [option.part]
    if option.kind == "scale":
        return [f"{option.part}-{COPIES + 1}"]
    if option.part == "broker":
        return [f"broker-{number}" for number in range(BROKERS)]
    return [f"{option.part}-{number + 1}" for number in range(COPIES)]


def lasts_s(option: Option) -> tuple[float, float]:
    """Shortest and longest time from a fault to its end."""
    if option.kind in ("kill", "term") and option.part != "broker":
        return 0, 0  # a supervisor starts it again
    return LASTS_S[option.kind]


def recovers_s(option: Option) -> float:
    """Time after its end that the system is given before the next fault of its lane."""
    if option.part == "broker" and option.kind in ("kill", "term", "freeze", "disk", "two-brokers"):
        return 12
    return 4 if option.kind in ("kill", "term", "freeze", "scale", "leaders", "disk") else 0
