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
_LOOK_S: Final = 0.1


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
    """`cpu_us`: of each stage for each request. `rss_mb`: at the end."""

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
        rig.set_pace(Pace(latency_ms=QUICK.throughput_latency_ms))
        rig.stop(*OURS)
        for name, table in _TABLES.items():
            if count := getattr(case, name):
                step(f"{case.name}: writing {count} records of {name}")
                write(rig.stack.kafka, TABLES[table], count, now_ms())
        if case.backlog:
            step(f"{case.name}: publishing {case.backlog} requests")
            rig.publish(Mix(name="backlog", count=case.backlog))
        step(f"{case.name}: starting the stages")
        rig.start(*OURS)
        step(f"{case.name}: measuring {requests} requests")
        used = _out_of_backlog(rig, requests) if case.backlog else _of_new_ones(rig, requests)
        return Grown(case, used, {name: rss_mb(pid) for name, pid in rig.pids().items() if name in OURS})


def _of_new_ones(rig: Rig, requests: int) -> dict[str, float]:
    """They come when all that there is has been read back."""
    rig.carry_out(rig.job(Mix(name="warm", count=QUICK.warm_up), rig.millrace_door(), {}), rig.folder / "warm.json")
    job = rig.job(Mix(name="new", count=requests), rig.millrace_door(), rig.pids())
    heard = rig.carry_out(job, rig.folder / "new.json")
    return {name: heard.cpu_us(name) for name in OURS}


def _out_of_backlog(rig: Rig, requests: int) -> dict[str, float]:
    """Of each stage, from now on until it has itself passed on so many more."""
    used: dict[str, float] = {}
    with Ends(rig.stack.kafka.bootstrap_servers) as ends:
        started_s, begun, before = time.monotonic(), _passed_on(rig, ends), taken(rig.pids())
        while len(used) < len(OURS):
            if time.monotonic() - started_s > _WITHIN_S:
                raise StackError(
                    f"{', '.join(sorted(set(OURS) - used.keys()))} did not pass {requests} of the backlog on in "
                    f"{_WITHIN_S:.0f} s; if all of it was done before it was looked at, make it larger"
                )
            time.sleep(_LOOK_S)
            done, after = _passed_on(rig, ends), taken(rig.pids())
            for name in OURS:
                if name not in used and (count := done[name] - begun[name]) >= requests:
                    used[name] = (after[name] - before[name]) / count * 1e6
    return used


def _passed_on(rig: Rig, ends: Ends) -> dict[str, int]:
    """So far, by stage."""
    return {name: ends.count(rig.stack.kafka.topic(topic)) for name, topic in PASSED_ON.items()}
