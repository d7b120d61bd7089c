"""Faults happen at their seconds: only what hits the same target waits, and what recovers is judged when it could."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from scripts.chaos.claims import Claims, claim_of
from scripts.chaos.coverage import as_planned
from scripts.chaos.faults.fault import Fault
from scripts.chaos.injection import Injection, Surroundings
from scripts.chaos.kinds import Kind, Lane
from scripts.chaos.outages import AT_LAST_S, RECOVERS_WITHIN_S, Outages, deadline_s
from scripts.chaos.schedule import Planned
from scripts.chaos.system import System

WITHIN_S = 30


def planned(number: int, lane: Lane, kind: Kind, part: str, target: str) -> Planned:
    return Planned(number, lane, kind, part, target, at_s=0, for_s=0, strength=0)


KILL = planned(1, "ends", "kill", "route", "route-1")
FREEZE = planned(2, "pauses", "freeze", "route", "route-1")
OTHER = planned(3, "ends", "term", "limit", "limit-2")
BROKER = planned(4, "brokers", "kill", "broker", "broker-0")
LEADERS = planned(5, "brokers", "leaders", "broker", "broker-2")
CUT = planned(6, "network", "cut", "broker", "broker-0")


class Lines:
    def __init__(self) -> None:
        self.written: list[dict[str, Any]] = []

    def write(self, **fields: Any) -> None:
        self.written.append(fields)

    def events(self) -> list[tuple[str, int]]:
        return [(line["event"], line["id"]) for line in self.written]


@dataclass
class Processes:
    """What a fault is told to and asked of."""

    journal: Lines = field(default_factory=Lines)

    def pid(self, _name: str) -> int:
        return 7


class Slow:
    """Its target works again when somebody says so."""

    def __init__(self, *, breaks: bool = False) -> None:
        self.works = threading.Event()
        self.begun = threading.Event()
        self.healed = 0
        self._breaks = breaks

    def hindrance(self) -> str:
        return ""

    def describe(self) -> Mapping[str, object]:
        return {}

    def inject(self) -> None:
        self.begun.set()
        if self._breaks:
            raise OSError("no such process")

    def heal(self) -> None:
        self.healed += 1

    def recovered(self) -> bool:
        return self.works.is_set()


class Scene:
    def __init__(self) -> None:
        self.processes = Processes()
        self.around = Surroundings(cast("System", self.processes), threading.Event())

    def injection(self, fault: Slow, of: Planned) -> Injection:
        return Injection(of, self.around, lambda _planned, _system: cast("Fault", fault))

    def begun(self, fault: Slow, of: Planned) -> threading.Thread:
        thread = threading.Thread(target=self.injection(fault, of).run, daemon=True)
        thread.start()
        return thread


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_target_that_recovers_slowly_holds_up_its_own_next_fault_and_no_other(scene: Scene) -> None:
    slow, next_, other = Slow(), Slow(), Slow()
    first = scene.begun(slow, KILL)
    assert slow.begun.wait(WITHIN_S)
    second = scene.begun(next_, FREEZE)
    other.works.set()
    scene.injection(other, OTHER).run()
    assert not next_.begun.is_set()
    assert scene.processes.journal.events() == [("injected", 1), ("injected", 3), ("healed", 3)]
    slow.works.set()
    next_.works.set()
    first.join(WITHIN_S)
    second.join(WITHIN_S)
    assert scene.processes.journal.events()[3:] == [("healed", 1), ("injected", 2), ("healed", 2)]


def test_a_fault_that_cannot_be_done_is_told_healed_and_lets_its_target_go(scene: Scene) -> None:
    broken = Slow(breaks=True)
    broken.works.set()
    injection = scene.injection(broken, KILL)
    injection.run()
    assert injection.failures == ["kill route-1: OSError: no such process"]
    assert broken.healed == 1
    assert scene.around.claims.take(FREEZE) is None


def test_what_waits_for_its_target_when_the_load_ends_is_skipped(scene: Scene) -> None:
    scene.around.claims.take(KILL)
    scene.around.stop.set()
    late = Slow()
    scene.injection(late, FREEZE).run()
    assert not late.begun.is_set()
    assert scene.processes.journal.written[-1]["why"] == "the load has ended"


def test_one_broker_at_a_time_is_anybodys_and_the_way_to_it_is_another_thing() -> None:
    claims = Claims()
    assert claims.take(BROKER) is None
    assert claims.take(LEADERS) is BROKER
    assert claims.take(CUT) is None
    claims.release(LEADERS)
    assert claims.take(LEADERS) is BROKER
    claims.release(BROKER)
    assert claims.take(LEADERS) is None
    assert claim_of(KILL) == claim_of(FREEZE) == "route-1"


def test_the_time_to_work_again_counts_from_the_last_end_of_fault_start_and_outage() -> None:
    assert deadline_s(100, 100, 0) == 100 + RECOVERS_WITHIN_S
    assert deadline_s(100, 130, 0) == 130 + RECOVERS_WITHIN_S
    assert deadline_s(100, 130, 150) == 150 + RECOVERS_WITHIN_S


def test_brokers_that_are_never_left_alone_excuse_nobody_for_ever() -> None:
    assert deadline_s(100, 100, 1_000) == 100 + AT_LAST_S


def test_an_outage_lasts_until_the_last_of_its_faults_is_over_and_excuses_others_only() -> None:
    now_s = 10.0
    outages = Outages(lambda: now_s)
    outages.began(KILL)  # of no broker
    outages.ended(KILL)
    assert outages.until_s(but=OTHER) == 0
    outages.began(BROKER)
    outages.began(CUT)
    outages.ended(CUT)
    now_s = 20.0
    assert outages.until_s(but=KILL) == 20
    assert outages.until_s(but=BROKER) == 10
    outages.ended(BROKER)
    now_s = 30.0
    assert outages.until_s(but=KILL) == 20


def test_a_run_that_skipped_too_much_of_what_it_was_to_break_proves_too_little() -> None:
    faults = [planned(number, "ends", "kill", "route", "route-1") for number in range(1, 11)]
    assert not as_planned(faults, frozenset(range(1, 8))).violations
    assert as_planned(faults, frozenset(range(1, 7))).examples == (
        "6 of the 10 faults of all were injected, 70% are the least",
    )


def test_a_lane_that_fell_behind_is_not_made_up_for_by_the_others() -> None:
    ends = [planned(number, "ends", "kill", "route", "route-1") for number in range(1, 11)]
    others = [planned(number, "provider", "provider-429", "simulator", "simulator") for number in range(11, 61)]
    done = frozenset(range(7, 61))
    assert as_planned([*ends, *others], done).examples == (
        "4 of the 10 faults of the lane ends were injected, 50% are the least",
    )
