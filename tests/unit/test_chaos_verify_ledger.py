"""That the verifier sees a call nobody announced, a row that is missing or strange, and money that does not add up."""

from dataclasses import replace
from decimal import Decimal

import pytest

from schemas.usage import CostStatus
from scripts.chaos.verify.attempts import Attempts
from scripts.chaos.verify.facts import Seen
from scripts.chaos.verify.money import Money
from scripts.chaos.verify.repeats import AFTER_MS, WRITTEN_MS, Repeats
from scripts.chaos.verify.rows import Rows
from scripts.chaos.verify.snapshot import Disruption, Snapshot
from scripts.chaos.verify.started import Started
from tests.unit.chaos_history import (
    ATTEMPT,
    COST,
    NOW_MS,
    billed,
    broken,
    called,
    completed,
    fold,
    priced,
    row,
    snapshot,
    sound,
)

OTHER = "attempt-2"


def started(records: list[Seen], *snapshots: Snapshot) -> dict[str, list[str]]:
    attempts = Attempts()
    invariant = Started(attempts)
    fold(invariant, records, *snapshots, attempts=attempts)
    return broken(invariant)


def rows(records: list[Seen], *snapshots: Snapshot) -> dict[str, list[str]]:
    attempts = Attempts()
    invariant = Rows(attempts)
    fold(invariant, records, *snapshots, attempts=attempts)
    return broken(invariant)


def money(records: list[Seen], *snapshots: Snapshot) -> dict[str, list[str]]:
    attempts = Attempts()
    invariant = Money(attempts)
    fold(invariant, records, *snapshots, attempts=attempts)
    return broken(invariant)


def test_a_sound_history_is_sound() -> None:
    whole = snapshot(bill=[billed()], rows=[row()])
    assert started(sound(), whole) == {}
    assert rows(sound(), whole) == {}
    assert money(sound(), whole) == {}


def test_a_billed_call_needs_a_started_row() -> None:
    assert started([], snapshot(bill=[billed()])) == {
        "started before called": [f"{ATTEMPT} was billed at 00:00:00.005 and has no started row"]
    }


def test_a_started_row_that_comes_after_the_bill_is_found() -> None:
    late = started([called(0, "started", at_ms=NOW_MS + 10)], snapshot(bill=[billed(at_ms=NOW_MS)]))
    assert "its started row is of" in late["started before called"][0]


def test_a_billed_call_without_an_attempts_id_is_found() -> None:
    assert "names no attempt" in started([], snapshot(bill=[billed(None)]))["started before called"][0]


def test_a_row_that_no_started_row_precedes_is_found() -> None:
    assert "comes before any started row" in started([priced()])["started before called"][0]


def test_a_completed_attempt_needs_a_started_row_though_it_cost_nothing() -> None:
    for records, violated in (([completed()], True), ([completed(), called(0, "started")], False)):
        assert bool(started(records, snapshot(), snapshot())) is violated
        assert bool(started(records)) is violated


def test_a_row_that_is_missing_in_clickhouse_is_found() -> None:
    assert rows(sound(), snapshot(rows=[])) == {
        "one row": [f"{ATTEMPT} of north/r-1 is on llm.calls and not in ClickHouse"],
        "one final row": ["north/r-1 has 0 final rows in ClickHouse"],
    }


def test_a_row_that_is_there_twice_is_found() -> None:
    found = rows(sound(), snapshot(rows=[row(), row()]))
    assert found["one row"] == [f"{ATTEMPT} of north/r-1 is in ClickHouse 2 times"]
    assert found["one final row"] == ["north/r-1 has 2 final rows in ClickHouse"]


def test_a_row_in_an_older_phase_or_with_another_cost_is_found() -> None:
    for strange in (row(phase="started"), row(cost=COST * 2), row(cost=None)):
        assert "one row" in rows(sound(), snapshot(rows=[strange]))


def test_a_row_that_is_not_on_the_topic_is_found_while_it_runs() -> None:
    attempts = Attempts()
    invariant = Rows(attempts)
    invariant.look(replace(snapshot(rows=[row("forged")]), is_whole=False))
    assert broken(invariant) == {"no row from nowhere": ["forged of north/r-1 is in ClickHouse and not on llm.calls"]}


def test_a_row_under_another_tenant_is_found() -> None:
    assert "no row from nowhere" in rows(sound(), snapshot(rows=[row(tenant="south")]))


def test_rows_that_cannot_be_read_at_the_end_are_no_proof() -> None:
    assert rows(sound(), snapshot()) == {"one row": ["ClickHouse could not be read at the end"]}


def test_rows_wait_until_clickhouse_has_their_last_phase() -> None:
    attempts = Attempts()
    invariant = Rows(attempts)
    for record in sound():
        attempts.take(record)
    attempts.look(snapshot(rows=[row(phase="started")]))
    assert invariant.waits() == ["1 rows are not in ClickHouse yet"]
    assert attempts.oldest_unstored_ms == NOW_MS
    attempts.look(snapshot(rows=[row()]))
    assert invariant.waits() == []
    assert attempts.oldest_unstored_ms is None


def test_a_cost_that_differs_from_the_bill_in_the_last_decimal_is_found() -> None:
    wrong = COST + Decimal("0.000000001")
    found = money(sound(), snapshot(bill=[billed(cost=wrong)], rows=[row()]))
    assert found["cost is the bill"] == [f"{ATTEMPT} of north/r-1 is booked at {COST} USD and billed {wrong} USD"]
    assert "sum of the bill" in found


def test_what_is_booked_and_never_billed_or_billed_and_booked_as_free_is_found() -> None:
    assert "cost is the bill" in money(sound(), snapshot(rows=[row()]))
    free = [called(0, "started"), priced(cost=Decimal(0))]
    assert "cost is the bill" in money(free, snapshot(bill=[billed()], rows=[row(cost=Decimal(0))]))


def test_an_attempt_that_is_billed_twice_is_found() -> None:
    found = money(sound(), snapshot(bill=[billed(), billed()], rows=[row()]))
    assert "is on the bill 2 times" in found["cost is the bill"][0]


@pytest.mark.parametrize("status", ["unknown_billable", "unpriced", "estimated"])
def test_an_unknown_cost_is_not_nothing(status: CostStatus) -> None:
    records = [called(0, "started"), called(1, "priced", cost=Decimal(0), status=status)]
    assert "unknown is not nothing" in money(records, snapshot(bill=[billed()], rows=[]))


def test_attempts_of_unknown_cost_make_up_the_rest_of_the_bill() -> None:
    unknown = replace(row(OTHER, cost=None, phase="started"), is_final=False)
    whole = snapshot(bill=[billed(), billed(OTHER, COST * 3)], rows=[row(), unknown])
    assert money([*sound(), called(2, "started", attempt_id=OTHER)], whole) == {}


def test_a_row_that_was_deleted_makes_the_sum_wrong() -> None:
    assert "sum of the bill" in money(sound(), snapshot(bill=[billed()], rows=[]))


def repeated(*disruptions: Disruption, attempts_of_first: tuple[str, ...] = (ATTEMPT,), settled: bool = False) -> bool:
    """Whether a call of the same request beside its first completion's is a violation."""
    attempts = Attempts()
    invariant = Repeats(attempts)
    lost = [called(2, "started", attempt_id=OTHER)]
    if settled:
        lost.append(called(3, "settled", attempt_id=OTHER, at_ms=NOW_MS + 10))
    records = [*sound()[:6], completed(attempts=attempts_of_first), *lost]
    bill = [billed(), billed(OTHER, at_ms=NOW_MS + 5)]
    fold(invariant, records, replace(snapshot(bill=bill), disruptions=disruptions), attempts=attempts)
    return bool(broken(invariant))


def fault(target: str = "invoke-1", *, from_ms: int = NOW_MS + 3, until_ms: int | None = NOW_MS + 900) -> Disruption:
    return Disruption("kill", target, from_ms, until_ms)


def test_a_repeated_call_needs_a_call_in_flight_at_a_disruption() -> None:
    assert repeated()
    assert not repeated(fault())
    assert not repeated(fault("broker-2"))


def test_a_second_attempt_of_the_same_plan_is_no_repetition() -> None:
    assert not repeated(attempts_of_first=(ATTEMPT, OTHER))


def test_a_disruption_of_somebody_else_or_at_another_time_explains_nothing() -> None:
    assert repeated(fault("clickhouse"))
    assert repeated(fault("sink-1"))
    assert repeated(fault(from_ms=NOW_MS + 5 + WRITTEN_MS + 1))
    assert repeated(fault(from_ms=NOW_MS - AFTER_MS - 200, until_ms=NOW_MS - AFTER_MS - 100))


def test_what_was_settled_before_the_fault_was_not_in_flight() -> None:
    after = fault(from_ms=NOW_MS + 11)
    attempts = Attempts()
    for record in (called(0, "started"), called(1, "settled", at_ms=NOW_MS + 10)):
        attempts.take(record)
    invariant = Repeats(attempts)
    end = replace(snapshot(bill=[billed()]), disruptions=(after,))
    attempts.look(end)
    invariant.end(end)
    assert "1 repeated paid calls, 0 of its 1 calls were in flight" in broken(invariant)["repeats explained"][0]
