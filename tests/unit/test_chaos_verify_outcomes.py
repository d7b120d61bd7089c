"""That the verifier sees requests end as theirs may not, tried too often or too late, and processes that a bug ends."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from schemas.response import ErrorCode, Status
from scripts.chaos.load.sending import Kind
from scripts.chaos.verify.attempts import Attempts
from scripts.chaos.verify.budgets import BEGUN_MS, Budgets
from scripts.chaos.verify.crashes import Crashes
from scripts.chaos.verify.facts import Dispatched, Responded, Seen
from scripts.chaos.verify.outcomes import Outcomes
from scripts.chaos.verify.snapshot import Acknowledged, BillLine, Leak
from scripts.cli.audit_fold import REUSED
from tests.unit.chaos_history import (
    NOW_MS,
    billed,
    broken,
    called,
    dispatched,
    fold,
    lettered,
    place,
    requested,
    responded,
    snapshot,
    sound,
)


def outcomes(kind: Kind, *records: Seen) -> dict[str, list[str]]:
    """Of the load's record 0."""
    invariant = Outcomes()
    line = Acknowledged(0, place("requests", 0), "north", "r-1", kind)
    fold(invariant, [requested(), *records], replace(snapshot(), acknowledged=(line,)))
    return broken(invariant)


def ended(status: Status, code: ErrorCode | None) -> Seen:
    response = responded()
    assert isinstance(response.fact, Responded)
    return replace(response, fact=replace(response.fact, status=status, code=code))


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("plain", "ok", None),
        ("plain", "rejected", "rate_limited"),
        ("streamed", "failed", "provider_unavailable"),
        ("tight_deadline", "expired", "deadline_exceeded"),
        ("late", "expired", "deadline_exceeded"),
        ("wrong_key", "rejected", "unauthenticated"),
        ("too_large", "rejected", "request_too_large"),
    ],
)
def test_a_request_may_end_as_its_kind_does(kind: Kind, status: Status, code: ErrorCode | None) -> None:
    assert outcomes(kind, ended(status, code)) == {}


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("plain", "failed", "internal_error"),
        ("plain", "expired", "deadline_exceeded"),
        ("plain", "rejected", "invalid_request"),
        ("session", "failed", "no_route"),
        ("late", "ok", None),
        ("wrong_key", "ok", None),
        ("unknown_model", "rejected", "invalid_request"),
        ("empty", "rejected", "invalid_request"),
    ],
)
def test_a_request_that_ends_otherwise_is_found(kind: Kind, status: Status, code: ErrorCode | None) -> None:
    assert set(outcomes(kind, ended(status, code))) == {"outcomes are expected"}


def test_an_internal_error_is_found_whoever_asked() -> None:
    invariant = Outcomes()
    fold(invariant, [ended("failed", "internal_error")])
    assert set(broken(invariant)) == {"outcomes are expected"}


@pytest.mark.parametrize(
    ("kind", "stage", "reason", "violated"),
    [
        ("empty", "validate", "empty_value", False),
        ("not_json", "validate", "no_request_id", False),
        ("reused_id", "limit", REUSED, False),
        ("plain", "limit", REUSED, True),
        ("plain", "limit", "decision_failed", True),
        ("plain", "invoke", "unreadable", True),
        ("empty", "limit", "empty_value", True),
    ],
)
def test_only_what_the_load_spoils_may_become_a_dead_letter(
    kind: Kind, stage: str, reason: str, violated: bool
) -> None:
    found = outcomes(kind, lettered(requested(), stage, reason))
    assert ("dead letters are expected" in found) is violated


def budgets(*records: Seen, bill: Sequence[BillLine] = ()) -> dict[str, list[str]]:
    attempts = Attempts()
    invariant = Budgets(attempts)
    fold(invariant, records, snapshot(bill=bill), attempts=attempts)
    return broken(invariant)


def test_a_sound_history_keeps_its_budgets() -> None:
    assert budgets(*sound()) == {}


def test_more_attempts_than_the_plan_has_are_found() -> None:
    for number, violated in ((3, False), (4, True)):
        assert bool(budgets(dispatched(), called(0, "started", number=number))) is violated


def test_an_attempt_that_begins_after_the_deadline_is_found() -> None:
    due = replace(dispatched(), fact=Dispatched("north/r-1", 3, NOW_MS))
    for late_ms, violated in ((BEGUN_MS, False), (BEGUN_MS + 1, True)):
        started = called(0, "started", at_ms=NOW_MS + late_ms)
        assert bool(budgets(due, started, bill=[billed()])) is violated
        assert budgets(due, started) == {}  # a row, and no call


@pytest.mark.parametrize(
    ("request_id", "number", "is_cut", "violated"),
    [
        ("north-12", "12", False, False),
        ("north-12-2", "12", False, False),
        ("north-12", "13", False, True),
        ("north-12", "1", False, True),
        ("north-12", "1", True, False),
        ("north-12", "2", True, True),
    ],
)
def test_an_answer_to_another_question_is_found(request_id: str, number: str, is_cut: bool, violated: bool) -> None:
    answer = responded(request_id=request_id)
    assert isinstance(answer.fact, Responded)
    answer = replace(answer, fact=replace(answer.fact, numbers=frozenset({number}), is_cut=is_cut))
    assert ("answers fit" in budgets(answer)) is violated


def test_a_process_that_a_bug_ended_is_found() -> None:
    invariant = Crashes()
    found = Leak("limit-1.log near byte 0", "ended_by_a_bug")
    fold(invariant, [], replace(snapshot(), crashes=(found,)))
    assert broken(invariant) == {"no process ends by a bug": ["ended_by_a_bug in limit-1.log near byte 0"]}
