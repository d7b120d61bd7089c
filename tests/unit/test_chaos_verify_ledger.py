"""That the verifier sees a call nobody announced, a row that is missing or strange, and money that does not add up."""

from dataclasses import replace
from decimal import Decimal

import pytest

from schemas.usage import CostStatus
from scripts.chaos.verify.attempts import Attempts
from scripts.chaos.verify.facts import Seen
from scripts.chaos.verify.money import Money
from scripts.chaos.verify.rows import Rows
from scripts.chaos.verify.snapshot import Snapshot
from scripts.chaos.verify.started import Started
from tests.unit.chaos_history import (
    ATTEMPT,
    COST,
    NOW_MS,
    billed,
    broken,
    called,
    checks,
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


def test_a_started_row_that_comes_during_the_call_is_found() -> None:
    line = billed(at_ms=NOW_MS + 900, arrived_ms=NOW_MS)
    assert started([called(0, "started", at_ms=NOW_MS)], snapshot(bill=[line])) == {}
    late = started([called(0, "started", at_ms=NOW_MS + 10)], snapshot(bill=[line]))
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


def test_a_row_that_is_not_on_the_topic_when_all_is_read_is_found() -> None:
    assert rows(sound(), snapshot(rows=[row(), row("forged")])) == {
        "no row from nowhere": ["forged of north/r-1 is in ClickHouse and not on llm.calls"]
    }


def test_what_can_only_be_read_after_the_bill_and_the_row_in_clickhouse_was_there_all_the_same() -> None:
    """A leader that was killed and is back tells for a while of an end before what it had acknowledged."""
    attempts = Attempts()
    invariants = Started(attempts), Rows(attempts), Money(attempts)
    early = replace(snapshot(bill=[billed()], rows=[row()]), is_whole=False)
    for each in (attempts, *invariants):
        each.look(early)
    for record in sound():
        for each in (attempts, *invariants):
            each.take(record)
    whole = snapshot(rows=[row()])
    for each in (attempts, *invariants):
        each.look(whole)
    for invariant in invariants:
        invariant.end(whole)
        assert broken(invariant) == {}
    assert checks(tally for invariant in invariants for tally in invariant.tallies)["cost is the bill"] == 1


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


def test_what_was_answered_and_billed_whole_has_a_price() -> None:
    for status in ("unpriced", "unknown_billable", "estimated"):
        records = [called(0, "started"), completed(), called(1, "priced", status=status, cost=None)]
        assert "answers have a price" in money(records, snapshot(bill=[billed()], rows=[]))
    cut = [called(0, "started"), completed(), called(1, "priced"), *other_that_is_priced()]
    assert money(cut, snapshot(bill=[billed(ending="cut"), billed(OTHER)], rows=[row(OTHER)])) == {}


def test_calls_that_are_all_booked_as_unknown_are_found_though_nobody_says_who_was_answered() -> None:
    attempts = [f"attempt-{number}" for number in range(100)]
    records = [called(number, "priced", attempt_id=each, status="unpriced") for number, each in enumerate(attempts)]
    found = money(records, snapshot(bill=map(billed, attempts), rows=[]))
    assert found == {"answers have a price": ["100 calls were billed whole, and of none the cost is known"]}


def other_that_is_priced() -> list[Seen]:
    return [called(2, "started", attempt_id=OTHER), priced(3, attempt_id=OTHER)]


def test_a_row_that_was_deleted_makes_the_sum_wrong() -> None:
    assert "sum of the bill" in money(sound(), snapshot(bill=[billed()], rows=[]))
