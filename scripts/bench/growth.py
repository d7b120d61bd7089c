"""What a request costs when there is much of everything: against the small case, one thing at a time."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from schemas.topics import ADMITTED, COMPLETIONS, DISPATCH, MISSES, RESPONSES, VALIDATED, Topic
from scripts.bench.cpu import rss_mb, taken
from scripts.bench.ends import Ends
from scripts.bench.machine import machine
from scripts.bench.mix import Mix
from scripts.bench.plan import QUICK
from scripts.bench.provider.pace import Pace
from scripts.bench.rig import OURS, Rig, Shape
from scripts.measure.tables import TABLES, write
from scripts.stack.errors import StackError
from scripts.stack.readiness import holds_within
from streams.clock import now_ms

PASSED_ON: Final[Mapping[str, Topic]] = {
    "validate": VALIDATED,
    "limit": ADMITTED,
    "cache": MISSES,
    "route": DISPATCH["normal"],
    "invoke": COMPLETIONS,
    "postprocess": RESPONSES,
    "sink": RESPONSES,
    "watch": RESPONSES,
}
"""Where a stage's requests can be counted. With a backlog the first stages are far ahead of the last, so the CPU of
each is shared among the requests that itself has passed on.
"""
_SPENDS: Final = {"tenants": "validate", "entries": "cache", "ids": "limit"}
"""Whose memory grows by it, most of all."""
_TABLES: Final = {"tenants": "objects", "entries": "answers", "ids": "registrations"}
_WITHIN_S: Final = 900.0


@dataclass(frozen=True, slots=True)
class Case:
    """What there is before the first request is measured: requests waiting, and records on the tables."""

    name: str
    backlog: int = 0
    tenants: int = 0
    entries: int = 0
    ids: int = 0


@dataclass(frozen=True, slots=True)
class Grown:
    """`cpu_us`: of each stage for each request that it has passed on. `rss_mb`: at the end."""

    case: Case
    cpu_us: Mapping[str, float]
    rss_mb: Mapping[str, float]

    @property
    def total_us(self) -> float:
        return sum(self.cpu_us.values())


def cases(backlog: int, tenants: int, entries: int, ids: int) -> list[Case]:
    """The small one first: the others are told as ratios to it."""
    grown = [
        Case("backlog", backlog=backlog),
        Case("tenants", tenants=tenants),
        Case("entries", entries=entries),
        Case("ids", ids=ids),
    ]
    return [Case("small"), *(case for case in grown if any((case.backlog, case.tenants, case.entries, case.ids)))]


def grow(which: list[Case], requests: int, folder: Path, step: Callable[[str], None]) -> dict[str, Any]:
    """Raises StackError when a case does not get going."""
    facts = machine()
    return {"machine": facts, "requests": requests, **told([_measured(case, requests, folder, step) for case in which])}


def told(found: list[Grown]) -> dict[str, Any]:
    """`bytes_each`: by how much the memory of the process that holds it all is larger than in the small case."""
    small = found[0]
    return {
        "cases": {
            each.case.name: {
                **asdict(each),
                "total_us": round(each.total_us, 1),
                "to_small": round(each.total_us / small.total_us, 3),
                "bytes_each": _bytes_each(each, small),
            }
            for each in found
        }
    }


def _bytes_each(each: Grown, small: Grown) -> int | None:
    process, count = _SPENDS.get(each.case.name), getattr(each.case, each.case.name, 0)
    if process is None or not count:
        return None
    return round((each.rss_mb[process] - small.rss_mb[process]) * 1024 * 1024 / count)


def _measured(case: Case, requests: int, folder: Path, step: Callable[[str], None]) -> Grown:
    with Rig(folder, Shape(), step) as rig:
        kafka = rig.stack.kafka
        rig.set_pace(Pace(latency_ms=QUICK.throughput_latency_ms))
        rig.stop(*OURS)
        for name, table in _TABLES.items():
            if count := getattr(case, name):
                step(f"{case.name}: writing {count} records of {name}")
                write(kafka, TABLES[table], count, now_ms())
        step(f"{case.name}: publishing")
        rig.publish(Mix(name=f"growth{case.name}", count=QUICK.warm_up + requests + case.backlog))
        step(f"{case.name}: starting the stages")
        rig.start(*OURS)
        with Ends(kafka.bootstrap_servers) as ends:
            first = _passed_on(rig, ends, QUICK.warm_up)
            before, passed = taken(rig.pids()), first
            step(f"{case.name}: measuring {requests} requests")
            last = _passed_on(rig, ends, QUICK.warm_up + requests)
            after = taken(rig.pids())
        used = {name: (after[name] - before[name]) / (last[name] - passed[name]) * 1e6 for name in OURS}
        return Grown(case, used, {name: rss_mb(pid) for name, pid in rig.pids().items() if name in OURS})


def _passed_on(rig: Rig, ends: Ends, answered: int) -> dict[str, int]:
    """By stage, as soon as so many have been answered."""
    topic = rig.stack.kafka.topic
    started_s = time.monotonic()
    if not holds_within(_WITHIN_S, lambda: ends.count(topic(RESPONSES)) >= answered):
        raise StackError(f"fewer than {answered} were answered in {time.monotonic() - started_s:.0f} s")
    return {name: ends.count(topic(passed_on)) for name, passed_on in PASSED_ON.items()}
