"""What a second worker adds: work a second where one is held back by its lanes, and the CPU of each event where cores
are what there is too little of.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from confluent_kafka.admin import AdminClient

from schemas.participants import STAGES
from schemas.topics import COMPLETIONS, DISPATCH, REQUESTS, VALIDATED, Topic
from scripts.bench.cpu import cpu_s
from scripts.bench.ends import Ends
from scripts.bench.figure import Figure, by_round
from scripts.bench.machine import machine
from scripts.bench.membership import share
from scripts.bench.mix import Mix
from scripts.bench.provider.pace import Pace
from scripts.bench.rig import OURS, Rig, Shape
from scripts.stack.errors import StackError
from scripts.stack.readiness import holds_within

_WITHIN_S: Final = 600.0
_LOOK_S: Final = 0.05
_WORKERS: Final = (1, 2)


@dataclass(frozen=True, slots=True)
class Trial:
    """A stage, where its work waits and goes, and how much of it is measured each time. What its workers do until each
    has partitions, and a quarter as much again, is not: they are starting.
    """

    stage: str
    reads: Topic
    writes: Topic
    events: int
    settling: int
    """What may be done until each has partitions; a backlog must have that too."""


@dataclass(frozen=True, slots=True)
class Worked:
    per_s: float
    cpu_us: float


def trials(calls: int, events: int) -> list[Trial]:
    """`invoke` waits for a provider; `validate` only computes."""
    return [
        Trial("invoke", DISPATCH["normal"], COMPLETIONS, calls, settling=2_000),
        Trial("validate", REQUESTS, VALIDATED, events, settling=60_000),
    ]


def scale(
    which: list[Trial], rounds: int, in_flight: int, provider_s: float, folder: Path, step: Callable[[str], None]
) -> dict[str, Any]:
    """One worker and two take turns on one backlog. Raises StackError when it does not get going."""
    facts = machine()
    found = {trial.stage: _tried(trial, rounds, in_flight, provider_s, folder, step) for trial in which}
    return {
        "machine": facts,
        "in_flight": in_flight,
        "provider_s": provider_s,
        "stages": {stage: _told(by_workers) for stage, by_workers in found.items()},
    }


def _told(by_workers: Mapping[int, list[Worked]]) -> dict[str, Any]:
    one, two = by_workers[1], by_workers[2]
    ratios = {
        "work_to_one": by_round([each.per_s for each in two], [each.per_s for each in one]),
        "cpu_to_one": by_round([each.cpu_us for each in two], [each.cpu_us for each in one]),
    }
    return {
        **{
            name: {
                "per_s": Figure(tuple(each.per_s for each in worked)).as_json(),
                "cpu_us": Figure(tuple(each.cpu_us for each in worked)).as_json(),
            }
            for name, worked in (("one", one), ("two", two))
        },
        **{name: None if ratio is None else ratio.as_json() for name, ratio in ratios.items()},
    }


def _tried(
    trial: Trial, rounds: int, in_flight: int, provider_s: float, folder: Path, step: Callable[[str], None]
) -> dict[int, list[Worked]]:
    with Rig(folder, Shape(in_flight=in_flight), step) as rig, Ends(rig.stack.kafka.bootstrap_servers) as ends:
        kafka = rig.stack.kafka
        rig.set_pace(Pace(latency_ms=provider_s * 1000))
        rig.stop(*STAGES[STAGES.index(trial.stage) :])
        # twice what is worked on: partitions are not filled alike, and none may run dry before the others
        count = 2 * rounds * len(_WORKERS) * (trial.events * 5 // 4 + trial.settling)
        step(f"{trial.stage}: {count} events are to wait for it")
        rig.publish(Mix(name="backlog", count=count))
        if not holds_within(_WITHIN_S, lambda: ends.count(kafka.topic(trial.reads)) >= count):
            raise StackError(f"{trial.reads.name} did not get its {count} events in {_WITHIN_S:g} s")
        rig.stop(*(name for name in OURS if name not in STAGES[STAGES.index(trial.stage) :]))

        def passed_on() -> int:
            return ends.count(kafka.topic(trial.writes))

        found: dict[int, list[Worked]] = {workers: [] for workers in _WORKERS}
        for number in range(rounds):
            for workers in _WORKERS:
                step(f"{trial.stage}: {workers} of {_WORKERS[-1]} workers, round {number + 1} of {rounds}")
                found[workers].append(_measured(rig, trial, workers, passed_on))
        return found


def _measured(rig: Rig, trial: Trial, workers: int, passed_on: Callable[[], int]) -> Worked:
    names = [f"{trial.stage}-{number + 1}" for number in range(workers)]
    rig.stack.supervisor.start(*(rig.stack.part(name, "stage", trial.stage) for name in names))
    try:
        pids = [rig.pid(name) for name in names]
        admin = AdminClient({"bootstrap.servers": rig.stack.kafka.bootstrap_servers})
        group = rig.stack.kafka.group(trial.stage)
        if not holds_within(_WITHIN_S, lambda: share(admin, group, workers)):
            raise StackError(f"{workers} workers did not share {trial.reads.name} within {_WITHIN_S:g} s")
        _until(passed_on, passed_on() + trial.events // 4)
        begun, begun_s, used_s = passed_on(), time.monotonic(), sum(map(cpu_s, pids))
        _until(passed_on, begun + trial.events)
        done, took_s = passed_on() - begun, time.monotonic() - begun_s
        return Worked(done / took_s, (sum(map(cpu_s, pids)) - used_s) / done * 1e6)
    finally:
        rig.stop(*names)


def _until(passed_on: Callable[[], int], count: int) -> None:
    deadline_s = time.monotonic() + _WITHIN_S
    while passed_on() < count:
        if time.monotonic() > deadline_s:
            raise StackError(f"{count - passed_on()} events were still waiting after {_WITHIN_S:g} s")
        time.sleep(_LOOK_S)
