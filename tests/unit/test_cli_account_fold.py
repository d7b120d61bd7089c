"""An account is checked against the rows it has counted, and a refusal is explained by what had been spent by then."""

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from schemas.account import Account, Charged, Registration
from schemas.call import CallRow
from schemas.money import Budget
from schemas.response import Failure
from scripts.cli.account_fold import Row, checked, shares, stopped
from streams.state.registered import AccountKey
from tests.fakes.call_rows import PRODUCED_AT_MS, UNKNOWN, call_row, priced
from tests.unit.examples import DIGEST

KEY = AccountKey("acme", "month", "", "2026-11")
BUDGETS = {"month": Budget(name="month", tenant="acme", period="month", usd="5")}
REFUSAL = Failure(code="budget_exceeded", message="nothing left")


def account(spent: str, *, first: int = 0, up_to: int = 100) -> Account:
    return Account(
        tenant_id="acme",
        budget="month",
        subject="",
        period="2026-11",
        spent_usd=Decimal(spent),
        guessed_usd=Decimal(0),
        first_offset=first,
        calls_offset=up_to,
    )


def registration(number: int = 1, *, is_charged: bool = True, **changes: Any) -> Registration:
    made = Registration(
        tenant_id="acme",
        user_id="ada",
        request_id=f"request-{number}",
        offset=number,
        digest=DIGEST,
        seen_at_ms=PRODUCED_AT_MS + number,
        held_usd=Decimal("0.01"),
        charged=(Charged(budget="month", subject="", period="2026-11"),) if is_charged else (),
    )
    return replace(made, **changes)


def row(number: int = 1, usd: str | None = "1", **changes: Any) -> CallRow:
    cost = UNKNOWN if usd is None else priced(usd)
    return call_row(number, cost=cost, admitted_at_ms=PRODUCED_AT_MS + number, **changes)


def by_id(*registrations: Registration) -> dict[tuple[str, str], Registration]:
    return {(each.tenant_id, each.request_id): each for each in registrations}


def test_an_account_agrees_with_the_rows_it_has_counted() -> None:
    rows = [Row(3, row(1, "1.25")), Row(4, row(2, "0.5")), Row(100, row(3, "9"))]  # the last is not taken yet

    (found,) = checked({KEY: account("1.75")}, by_id(*map(registration, (1, 2, 3))), BUDGETS, rows, 0)

    assert (found.history_usd, found.agrees) == (Decimal("1.75"), True)


def test_a_difference_is_found() -> None:
    (found,) = checked({KEY: account("1.75")}, by_id(registration(1)), BUDGETS, [Row(3, row(1, "1.25"))], 0)

    assert not found.agrees


def test_an_attempt_counts_once_however_often_its_row_came() -> None:
    rows = [Row(3, row(1)), Row(8, row(1))]

    (found,) = checked({KEY: account("1")}, by_id(registration(1)), BUDGETS, rows, 0)

    assert found.agrees


def test_a_call_whose_cost_nobody_knows_counts_with_what_was_held_for_it() -> None:
    (found,) = checked({KEY: account("0.01")}, by_id(registration(1)), BUDGETS, [Row(3, row(1, None))], 0)

    assert found.agrees


def test_a_request_of_before_the_budget_does_not_count() -> None:
    known = by_id(registration(1, is_charged=False), registration(2))

    (found,) = checked({KEY: account("1")}, known, BUDGETS, [Row(3, row(1)), Row(4, row(2))], 0)

    assert found.agrees


def test_where_a_registration_is_forgotten_the_budgets_of_today_say_where_its_rows_count() -> None:
    rows = [Row(1, row(1)), Row(3, row(2)), Row(4, row(3))]  # the first is of before the account was begun

    (found,) = checked({KEY: account("2", first=3)}, {}, BUDGETS, rows, 0)

    assert found.agrees


def test_where_something_is_forgotten_a_difference_proves_nothing() -> None:
    (found,) = checked({KEY: account("0.01")}, {}, BUDGETS, [Row(3, row(1, None))], 0)

    assert (found.history_usd, found.agrees) == (None, True)


def test_what_is_older_than_history_is_said_to_be() -> None:
    (found,) = checked({KEY: account("2")}, {}, BUDGETS, [], PRODUCED_AT_MS)

    assert found.history_usd is None
    assert found.agrees


def test_what_a_budget_was_used_up_by_is_told_by_feature_user_and_model_dearest_first() -> None:
    rows = [
        Row(1, row(1, "1", feature="chat")),
        Row(2, row(2, "2", user_id="bob")),
        Row(3, row(2, "2", user_id="bob")),
        Row(4, row(3, "9", published_at_ms=PRODUCED_AT_MS + 9_000)),
    ]

    found = shares(KEY, by_id(*map(registration, (1, 2, 3))), BUDGETS, rows, PRODUCED_AT_MS + 8_000)

    assert [(each.what, each.usd, each.calls) for each in found["feature"]] == [("search", 2, 1), ("chat", 1, 1)]
    assert [each.what for each in found["user"]] == ["bob", "ada"]
    assert [(each.what, each.usd) for each in found["model"]] == [("gpt-5-mini", 3)]


def test_refusals_around_a_time_or_of_one_request_are_found_oldest_first() -> None:
    known = [registration(n, refusal=REFUSAL if n % 2 else None) for n in range(1, 6)]

    assert [each.request_id for each in stopped(known, PRODUCED_AT_MS, None, 3)] == ["request-1", "request-3"]
    assert [each.request_id for each in stopped(known, None, "request-5", 0)] == ["request-5"]
    assert stopped(known, None, "request-2", 0) == []
