"""That the verifier sees what was paid for twice though nothing was interrupted, even in a run full of faults."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from scripts.chaos.kinds import OPTIONS, Option
from scripts.chaos.schedule import recovers_s, schedule
from scripts.chaos.verify.attempts import Attempts
from scripts.chaos.verify.facts import Seen
from scripts.chaos.verify.interruptions import DONE_MS, SESSION_MS
from scripts.chaos.verify.repeats import KNOWN_MS, Repeats
from scripts.chaos.verify.runs import WRITTEN_MS, runs_of
from scripts.chaos.verify.snapshot import Disruption
from tests.unit.chaos_history import ATTEMPT, NOW_MS, billed, broken, called, completed, fold, snapshot

OTHER = "attempt-2"
TOOK_MS = 300
WORKED_MS = 8_000
"""Until what a fault has hit works again, all copies of a partition included."""
MINUTES = 10


def found(records: Iterable[Seen], paid: Iterable[str], *disruptions: Disruption) -> set[str]:
    attempts = Attempts()
    invariant = Repeats(attempts)
    bill = [billed(each) for each in paid]
    fold(invariant, records, replace(snapshot(bill=bill), disruptions=disruptions), attempts=attempts)
    return set(broken(invariant))


def asked_twice(*disruptions: Disruption, again_ms: int = NOW_MS + 12_000, ended: bool = False) -> bool:
    """Whether it is a violation that a second run, which completed, began although there was a first, which is lost or
    has `ended`.
    """
    records = [called(0, "started"), called(1, "started", attempt_id=OTHER, at_ms=again_ms)]
    if ended:
        records.append(completed(at_ms=NOW_MS + TOOK_MS))
    records.append(completed(1, attempts=(OTHER,), at_ms=again_ms + TOOK_MS))
    return "repeats explained" in found(records, [ATTEMPT, OTHER], *disruptions)


def fault(
    target: str = "invoke-1", kind: str = "kill", *, from_ms: int = NOW_MS + 3, until_ms: int | None = NOW_MS + 900
) -> Disruption:
    return Disruption(kind, target, from_ms, until_ms)


@pytest.mark.parametrize("kind", ["kill", "freeze"])
def test_a_repetition_needs_a_run_that_was_interrupted(kind: str) -> None:
    assert asked_twice()
    assert not asked_twice(fault(kind=kind))
    assert not asked_twice(fault("broker-2", kind))


@pytest.mark.parametrize("kind", ["term", "scale"])
def test_a_worker_that_leaves_in_order_explains_no_repetition(kind: str) -> None:
    assert asked_twice(fault(kind=kind))
    assert not asked_twice(fault("broker-0", kind))


@pytest.mark.parametrize("kind", ["term", "scale"])
def test_what_had_failed_and_waited_may_be_asked_again_by_whoever_has_it_next(kind: str) -> None:
    records = [
        called(0, "started"),
        called(1, "settled", at_ms=NOW_MS + 100),
        called(2, "started", attempt_id=OTHER, at_ms=NOW_MS + 900),
        completed(attempts=(OTHER,), at_ms=NOW_MS + 1_200),
    ]
    assert found(records, [ATTEMPT, OTHER]) == {"repeats explained"}
    assert found(records, [ATTEMPT, OTHER], fault(kind=kind, from_ms=NOW_MS + 300)) == set()


def test_a_second_attempt_of_the_same_run_is_no_repetition() -> None:
    first = [called(0, "started"), called(1, "settled", at_ms=NOW_MS + 5)]
    second = called(2, "started", attempt_id=OTHER, number=2, at_ms=NOW_MS + 9)
    assert found([*first, second, completed(attempts=(ATTEMPT, OTHER))], [ATTEMPT, OTHER]) == set()
    assert found([*first, second], [ATTEMPT, OTHER]) == set()


def test_a_fault_of_somebody_else_or_at_another_time_explains_nothing() -> None:
    assert asked_twice(fault("clickhouse"))
    assert asked_twice(fault("sink-1"))
    assert asked_twice(fault("route-1"))
    assert asked_twice(fault(from_ms=NOW_MS + 5 + WRITTEN_MS + 1))
    assert asked_twice(fault(from_ms=NOW_MS - DONE_MS - 1))
    assert asked_twice(fault("broker-1", from_ms=NOW_MS - 90_000, until_ms=NOW_MS - SESSION_MS - DONE_MS - 1))


def test_a_fault_that_came_after_the_second_run_began_explains_nothing() -> None:
    assert asked_twice(fault("broker-1", from_ms=NOW_MS + 1_000), again_ms=NOW_MS + 999)


def test_what_is_long_completed_is_not_asked_again_whatever_happened() -> None:
    outage = fault("broker-1", until_ms=None)
    assert not asked_twice(outage, ended=True)
    assert asked_twice(outage, ended=True, again_ms=NOW_MS + TOOK_MS + KNOWN_MS + 1)


def test_one_interruption_explains_one_repetition() -> None:
    third = [called(2, "started", attempt_id="attempt-3", at_ms=NOW_MS + 20_000), completed(2, attempts=("attempt-3",))]
    records = [
        called(0, "started"),
        called(1, "started", attempt_id=OTHER, at_ms=NOW_MS + 12_000),
        completed(1, attempts=(OTHER,), at_ms=NOW_MS + 12_300),
        *third,
    ]
    assert "repeats explained" in found(records, [ATTEMPT, OTHER, "attempt-3"], fault())


def test_runs_are_told_apart_by_completions_and_else_by_the_numbers_of_their_attempts() -> None:
    known = Attempts()
    for record in (
        called(0, "started", attempt_id="a1"),
        called(1, "started", attempt_id="b1", at_ms=NOW_MS + 1),
        called(2, "settled", attempt_id="a1", at_ms=NOW_MS + 5),
        called(3, "settled", attempt_id="b1", at_ms=NOW_MS + 6),
        called(4, "started", attempt_id="a2", number=2, at_ms=NOW_MS + 7),
        completed(attempts=("a1", "a2"), at_ms=NOW_MS + 9),
    ):
        known.take(record)
    assert [run.attempts for run in runs_of(("a1", "b1", "a2"), known)] == [("a1", "a2"), ("b1",)]


def faults_of_a_full_run() -> list[Disruption]:
    """As the journal has them after ten minutes in which all went as planned."""
    return [
        Disruption(
            each.kind,
            each.target,
            NOW_MS + round(each.at_s * 1000),
            NOW_MS + round((each.until_s + min(recovers_s(Option(each.kind, each.part)), WORKED_MS / 1000)) * 1000),
        )
        for each in schedule(1, MINUTES, OPTIONS)
    ]


def paid_twice(every_ms: int, after_ms: int) -> tuple[list[Seen], list[str]]:
    """Requests one after the other, each answered and completed, and then asked and paid for again."""
    records: list[Seen] = []
    paid: list[str] = []
    for number in range(MINUTES * 60_000 // every_ms):
        name = f"r-{number}"
        for turn, start_ms in enumerate((NOW_MS + number * every_ms, NOW_MS + number * every_ms + after_ms)):
            attempt = f"{name}-{turn}"
            records += [
                called(2 * number + turn, "started", attempt_id=attempt, request_id=name, at_ms=start_ms),
                completed(attempts=(attempt,), request_id=name, at_ms=start_ms + TOOK_MS),
            ]
            paid.append(attempt)
    return records, paid


@pytest.mark.parametrize("after_ms", [500, 5_000, 50_000])
def test_a_system_that_pays_twice_all_the_time_is_found_in_a_full_run_of_faults(after_ms: int) -> None:
    assert found(*paid_twice(1_000, after_ms), *faults_of_a_full_run()) == {"repeats explained", "repeats bounded"}
