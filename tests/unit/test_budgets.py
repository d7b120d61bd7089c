"""Nobody spends more than a budget allows, and whoever is stopped is told which, where it stands and when it resets."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from schemas.account import Account, Registration
from schemas.flow import Needs
from schemas.money import Override
from schemas.topics import ACCOUNTS, BUDGETS
from streams.budgets import estimate_usd
from streams.runtime.outcome import Absorb
from streams.state.accounts import Accounts
from streams.state.spending import HELD_MS
from tests.unit.examples import (
    NOW_MS,
    accepted,
    on,
    prompt,
    records_of,
)
from tests.unit.routing import CHEAP_USD, DEAR_USD, MIDDLE_USD, three
from tests.unit.spending import DAY_MS, ESTIMATE, TODAY, Ledger, budget, budgeted, key


def test_what_a_request_may_cost_is_held_until_it_is_settled() -> None:
    ledger = Ledger(budget())

    assert ledger.admits("r-1")
    assert (ledger.spent(), ledger.held()) == (0, ESTIMATE)

    ledger.settle("r-1", "0.0001")
    assert (ledger.spent(), ledger.held()) == (Decimal("0.0001"), 0)


def test_a_tenant_without_a_budget_holds_nothing_and_writes_no_account() -> None:
    ledger = Ledger()

    outcome = ledger.ask("r-1")
    (registered,) = on(ACCOUNTS, records_of(outcome), Registration)

    assert (registered.held_usd, registered.charged) == (None, ())
    assert not on(BUDGETS, records_of(ledger.settle("r-1", "0.5")), Account)


def test_requests_are_let_through_as_long_as_what_is_spent_and_held_leaves_room() -> None:
    ledger = Ledger(budget(usd=f"{ESTIMATE * 3}"))

    assert [ledger.admits() for _ in range(4)] == [True, True, True, False]


def test_a_refusal_says_which_budget_where_it_stands_and_when_it_resets() -> None:
    ledger = Ledger(budget(usd="0.0004"))
    ledger.admits("r-1")
    ledger.settle("r-1", "0.00025")

    failure = ledger.refusal()

    assert failure.code == "budget_exceeded"
    assert failure.message == (
        "budget month allows acme 0.0004 USD in 2026-11 (UTC): 0.00025 are spent, 0 held for requests under way, and "
        "this one may cost 0.0003087; it resets at 2026-12-01 00:00 UTC: ask for less, or the operator for an override"
    )
    assert (failure.field, failure.retryable) == ("tenant_id", True)
    assert failure.retry_after_ms == 1_796_083_200_000 - NOW_MS


def test_who_is_only_held_up_by_others_under_way_may_ask_again_soon() -> None:
    ledger = Ledger(budget(usd="0.0004"))
    ledger.admits()

    failure = ledger.refusal()

    assert "send it again when others have ended" in failure.message
    assert failure.retry_after_ms == 5_000


def test_what_a_failed_attempt_cost_is_spent_and_the_rest_held_for_the_next() -> None:
    ledger = Ledger(budget())
    ledger.admits("r-1")

    ledger.settle("r-1", "0.0001", is_final=False)
    assert (ledger.spent(), ledger.held()) == (Decimal("0.0001"), ESTIMATE)

    ledger.settle("r-1", "0.0002", attempt_no=2)
    assert (ledger.spent(), ledger.held()) == (Decimal("0.0003"), 0)


def test_a_call_whose_cost_nobody_knows_counts_with_what_was_held_for_it() -> None:
    ledger = Ledger(budget())
    ledger.admits("r-1")

    ledger.settle("r-1", None)

    assert ledger.spent() == ESTIMATE
    assert ledger.state.spending.account(key()).guessed_usd == ESTIMATE
    assert ledger.held() == 0


def test_a_request_that_ended_without_a_call_releases_what_was_held() -> None:
    ledger = Ledger(budget())
    ledger.admits("r-1")

    ledger.settle("r-1", "0")

    assert (ledger.spent(), ledger.held()) == (0, 0)


def test_a_row_that_comes_again_elsewhere_counts_once() -> None:
    ledger = Ledger(budget())
    ledger.admits("r-1")
    ledger.settle("r-1", "0.0001")

    assert ledger.settle("r-1", "0.0001") == Absorb("settled before")
    assert ledger.spent() == Decimal("0.0001")


def test_a_row_that_is_taken_again_after_a_crash_counts_once() -> None:
    ledger = Ledger(budget())
    ledger.admits("r-1")
    ledger.settle("r-1", "0.0001", offset=5)

    ledger.settle("r-1", "0.0001", offset=5)

    assert (ledger.spent(), ledger.held()) == (Decimal("0.0001"), 0)


@pytest.mark.parametrize("usd", ["0.0001", None])
@pytest.mark.parametrize("survives", [ACCOUNTS, BUDGETS])
def test_of_two_records_either_may_be_lost_in_a_crash_and_nothing_counts_twice_or_not_at_all(
    survives: Any, usd: str | None
) -> None:
    ledger = Ledger(budget())
    ledger.admits("r-1")
    before = [record for record in records_of(ledger.ask("r-2")) if record.topic is ACCOUNTS]
    written = [record for record in records_of(ledger.settle("r-1", usd, offset=5)) if record.topic is survives]
    first = Ledger(budget())
    first.admits("r-1")
    for record in (*before, *written):
        first.state.apply(record.event, NOW_MS)
    assert first.spent() + first.held() >= Decimal(usd or 0) + ESTIMATE  # at no time is there room for what is spent

    first.settle("r-1", usd, offset=5)

    assert (first.spent(), first.held()) == (Decimal(usd or ESTIMATE), ESTIMATE)


def test_what_is_forgotten_is_not_held_for_ever() -> None:
    ledger = Ledger(budget())
    ledger.admits("r-1")

    assert ledger.held(at_ms=NOW_MS + HELD_MS - 1) == ESTIMATE
    assert ledger.held(at_ms=NOW_MS + HELD_MS) == 0


def test_a_day_begins_anew_at_midnight_utc_and_late_rows_count_on_the_day_of_their_request() -> None:
    ledger = Ledger(budget("day", usd="0.0004", period="day"))
    ledger.admits("r-1")

    assert not ledger.admits()
    assert ledger.admits(at_ms=NOW_MS + DAY_MS)
    ledger.settle("r-1", "0.0001")
    assert ledger.spent(key("day", period=TODAY)) == Decimal("0.0001")
    assert ledger.spent(key("day", period="2026-11-19")) == 0


def test_each_user_has_an_account_and_a_request_without_one_counts_on_none() -> None:
    ledger = Ledger(budget("users", usd="0.0004", scope="user"))

    assert ledger.admits(user_id="ada")
    assert not ledger.admits(user_id="ada")
    assert ledger.admits(user_id="bob")
    assert [ledger.admits() for _ in range(3)] == [True, True, True]


def test_each_value_of_a_label_has_an_account() -> None:
    ledger = Ledger(budget("features", usd="0.0004", scope="label", label="feature"))

    assert ledger.admits(labels={"feature": "search"})
    refusal = ledger.refusal(labels={"feature": "search"})
    assert refusal.field == "labels.feature"
    assert "allows search of acme 0.0004 USD" in refusal.message
    assert ledger.admits(labels={"feature": "chat"})


def test_a_single_request_that_may_cost_too_much_is_refused_for_good() -> None:
    ledger = Ledger(budget("one", usd="0.0004", scope="request", period=None))

    assert ledger.admits()
    failure = ledger.refusal(prompt=prompt(max_tokens=4_000))

    assert (failure.code, failure.field, failure.retryable) == ("budget_exceeded", "params.max_tokens", False)
    assert "may cost 0.0024015 USD and budget one allows 0.0004 for one" in failure.message


def test_all_budgets_of_a_request_have_room_or_none_is_charged() -> None:
    ledger = Ledger(budget("day", usd="1", period="day"), budget("month", usd="0.0001"))

    assert not ledger.admits()
    assert ledger.held(key("day", period=TODAY)) == 0


def test_grace_lets_so_much_more_through() -> None:
    ledger = Ledger(budget(usd=f"{ESTIMATE * 2}", grace_percent=50))

    assert [ledger.admits() for _ in range(4)] == [True, True, True, False]


def test_an_operators_word_adds_to_a_budget_until_it_ends() -> None:
    until_ms = NOW_MS + 60_000
    extra = Override(
        name="month/1", budget="month", usd="0.001", until_ms=until_ms, reason="report", by="ops", made_at_ms=NOW_MS
    )
    ledger = Ledger(budget(usd="0.0001"), extra)

    assert ledger.admits()
    assert not ledger.admits(at_ms=until_ms)


def test_a_model_without_a_price_is_refused_where_there_is_a_budget_unless_it_allows_it() -> None:
    strict, lax = (Ledger(budget(when_unpriced=each), model="nobody-knows-this") for each in ("refuse", "allow"))

    failure = strict.refusal()
    assert (failure.code, failure.field, failure.retryable) == ("unpriced_model", "model", False)
    assert lax.admits("r-1")
    lax.settle("r-1", "0.002")
    assert lax.spent() == Decimal("0.002")


@pytest.mark.parametrize("at_ms", [NOW_MS, NOW_MS + HELD_MS])
def test_requests_that_hold_nothing_are_settled_forgotten_and_read_back_like_others(at_ms: int) -> None:
    """A hold of 0 beside others once ended every worker that came to it."""
    ledger = Ledger(budget(when_unpriced="allow"), model="nobody-knows-this")
    outcomes = [ledger.ask("r-1"), ledger.ask("r-2"), ledger.ask("r-3", at_ms=at_ms)]
    outcomes += [ledger.settle("r-1", "0"), ledger.settle("r-2", "0.1")]
    again = Accounts()
    for outcome in outcomes:
        for record in records_of(outcome):
            if record.topic in {ACCOUNTS, BUDGETS}:
                again.apply(record.event, at_ms)

    assert (ledger.spent(), ledger.held(at_ms=at_ms)) == (Decimal("0.1"), 0)
    assert vars(again.spending)["_held"] == vars(ledger.state.spending)["_held"] == {}


def test_a_request_whose_cost_is_not_counted_yet_is_remembered_beyond_a_day() -> None:
    ledger = Ledger(budget())
    ledger.admits("r-1")
    ledger.admits("r-2", at_ms=NOW_MS + DAY_MS + HELD_MS // 2)

    ledger.settle("r-1", "0.0001")

    assert ledger.spent() == Decimal("0.0001")
    ledger.admits("r-3", at_ms=NOW_MS + 3 * DAY_MS)
    assert ledger.settle("r-2", "0.0001") != Absorb("nothing to settle", is_routine=True)
    ledger.admits("r-4", at_ms=NOW_MS + 6 * DAY_MS)
    assert ledger.settle("r-3", "0.0001") == Absorb("its request is forgotten: no budget counts what it cost")


def test_an_attempt_whose_final_row_comes_after_one_that_was_not_holds_nothing_any_more() -> None:
    ledger = Ledger(budget())
    ledger.admits("r-1")
    ledger.settle("r-1", "0.0001", is_final=False)

    ledger.settle("r-1", "0.0001")

    assert (ledger.spent(), ledger.held()) == (Decimal("0.0001"), 0)


def test_an_override_lets_a_dear_request_through_too() -> None:
    extra = Override(
        name="one/1", budget="one", usd="1", until_ms=NOW_MS + 1, reason="report", by="ops", made_at_ms=NOW_MS
    )
    ledger = Ledger(budget("one", usd="0.0001", scope="request", period=None), extra)

    assert ledger.admits()


def test_names_with_slashes_never_share_an_account() -> None:
    def written(name: str, user_id: str) -> str:
        ledger = Ledger(budget(name, scope="user"))
        ledger.take(accepted("r-1", user_id=user_id), 1, NOW_MS)
        (record,) = [each for each in records_of(ledger.settle("r-1", "0.1")) if each.topic is BUDGETS]
        return record.key

    assert written("b", "2026-11/x") != written("b/2026-11", "x")


def test_a_cost_below_nothing_gives_no_room() -> None:
    ledger = Ledger(budget())
    ledger.admits("r-1")

    ledger.settle("r-1", "-5")

    assert ledger.spent() == 0


def test_accounts_of_periods_long_past_are_forgotten() -> None:
    ledger = Ledger(budget("day", period="day"))
    ledger.admits("r-1")
    ledger.settle("r-1", "0.0001")
    assert ledger.spent(key("day", period=TODAY))

    ledger.admits(at_ms=NOW_MS + 5 * DAY_MS)

    assert not ledger.spent(key("day", period=TODAY))


def test_a_removed_budget_still_counts_what_was_asked_under_it() -> None:
    ledger = Ledger(budget())
    ledger.admits("r-1")
    ledger.control = budgeted()

    ledger.settle("r-1", "0.0001")

    assert (ledger.spent(), ledger.alerts) == (Decimal("0.0001"), [])


def test_what_is_held_is_for_the_dearest_of_those_who_may_be_asked() -> None:
    """Nobody is refused for want of money that the request cannot cost."""
    configured = three(budget(), max_request_usd=f"{CHEAP_USD}")

    assert estimate_usd(accepted(), three(budget()), NOW_MS) == DEAR_USD
    assert estimate_usd(accepted(), configured, NOW_MS) == CHEAP_USD


def test_a_cap_of_the_request_s_own_bounds_what_is_held_for_it() -> None:
    event = accepted()
    assert event.summary is not None
    capped = replace(event, summary=replace(event.summary, needs=Needs(max_cost_usd=MIDDLE_USD)))

    assert estimate_usd(capped, three(budget()), NOW_MS) == MIDDLE_USD


def test_where_nobody_may_be_asked_nothing_is_held() -> None:
    assert estimate_usd(accepted(), three(budget(), max_request_usd="0"), NOW_MS) == 0


def test_an_older_summary_that_says_only_how_long_the_answer_may_be_is_heeded() -> None:
    event = accepted(prompt=prompt(max_tokens=51_200))
    assert event.summary is not None
    older = replace(event, summary=replace(event.summary, needs=None))

    assert estimate_usd(older, three(), NOW_MS) == estimate_usd(event, three(), NOW_MS)
