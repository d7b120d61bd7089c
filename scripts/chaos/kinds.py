"""What can go wrong in a run, and for which part of the system: a closed list."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, get_args

from schemas.participants import STAGES

ProcessKind = Literal["kill", "term", "freeze"]
BrokerKind = Literal["two-brokers", "leaders"]
NetworkKind = Literal["cut", "drop", "stall", "delay", "refuse"]
ProviderKind = Literal[
    "provider-429", "provider-quota", "provider-500", "provider-503", "provider-529", "provider-hang",
    "provider-cut", "provider-error", "provider-malformed", "provider-slow", "provider-late",
]  # fmt: skip
Kind = ProcessKind | BrokerKind | NetworkKind | ProviderKind | Literal["disk", "scale"]
"""
kill, term, freeze: SIGKILL; SIGTERM; SIGSTOP beyond the session timeout, then SIGCONT
disk: nothing more can be written, as on a full disk
scale: a further worker joins and leaves again
two-brokers: too many are gone for anything to be written: everything waits
leaders: partitions are led by other brokers from one moment to the next
cut, refuse: connections are reset, once or for a while
drop, stall, delay: bytes vanish, wait, or arrive late
provider-*: what the simulator's faults of that name do
"""

Lane = Literal["ends", "pauses", "brokers", "network", "provider"]
"""Faults of one lane are planned one after the other; lanes run side by side."""


@dataclass(frozen=True, slots=True, order=True)
class Option:
    """A kind of fault, and the part it can happen to: a stage, sink, watch, clickhouse, broker or simulator."""

    kind: Kind
    part: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.part}"


_PROCESSES: Final = (*STAGES, "sink", "watch", "clickhouse")
_PLACES: Final = ("broker", "clickhouse", "simulator")

LANES: Final[Mapping[Lane, tuple[Option, ...]]] = MappingProxyType(
    {
        "ends": tuple(Option(kind, part) for kind in ("kill", "term") for part in _PROCESSES),
        "pauses": (
            *(Option("freeze", part) for part in _PROCESSES),
            *(Option("scale", part) for part in STAGES),
        ),
        "brokers": (
            *(Option(kind, "broker") for kind in get_args(ProcessKind)),
            *(Option(kind, "broker") for kind in get_args(BrokerKind)),
            Option("disk", "broker"),
            Option("disk", "clickhouse"),
        ),
        "network": tuple(Option(kind, place) for kind in get_args(NetworkKind) for place in _PLACES),
        "provider": tuple(Option(kind, "simulator") for kind in get_args(ProviderKind)),
    }
)
OPTIONS: Final = frozenset(option for options in LANES.values() for option in options)
KINDS: Final = tuple(sorted({option.kind for option in OPTIONS}))


def chosen(text: str) -> frozenset[Option]:
    """`all`, or a comma-separated list of KIND or KIND:PART. ValueError says what there is."""
    if text.strip() in ("", "all"):
        return OPTIONS
    found: set[Option] = set()
    for word in text.split(","):
        kind, _, part = word.strip().partition(":")
        matching = {option for option in OPTIONS if option.kind == kind and part in ("", option.part)}
        if not matching:
            parts = sorted({option.part for option in OPTIONS if option.kind == kind})
            raise ValueError(
                f"'{word.strip()}' is no fault: {kind} happens to {', '.join(parts)}"
                if parts
                else f"'{word.strip()}' is no fault; there are {', '.join(KINDS)}, each also as KIND:PART"
            )
        found |= matching
    return frozenset(found)
