"""Nobody spends more than a budget allows, and whoever is stopped is told which, where it stands and when it resets."""

from decimal import Decimal
from typing import Any

import pytest

from schemas.account import Account, Registration
from schemas.alert import Alert
from schemas.call import CallRow
from schemas.flow import Accepted
from schemas.money import Budget, Override
from schemas.response import Failure
from schemas.topics import ACCOUNTS, ALERTS, BUDGETS
from schemas.usage import Cost
from streams.control import ControlView, with_object
from streams.cost.ledger import attempt_row
from streams.runtime.outcome import Absorb, Forward, Outcome
from streams.stages.limit import decide
from streams.state.accounts import Accounts
from streams.state.registered import AccountKey
from streams.state.spending import HELD_MS
from tests.unit.examples import (
    NOW_MS,
    accepted,
    attempt,
    control,
    delivery,
    deployment,
    finished,
    on,
    plan,
    prompt,
    records_of,
    ticket,
    view,
)

DAY_MS = 86_400_000
MONTH, TODAY = "2026-11", "2026-11-18"
ESTIMATE = Decimal("0.0003087")
"""Of a request of 10 tokens in and 512 out to gpt-4o-mini."""


def budget(name: str = "month", *, usd: str = "1", **changes: Any) -> Budget:
    facts: dict[str, Any] = {"tenant": "acme", "scope": "tenant", "period": "month", **changes}
    return Budget(name=name, usd=usd, **facts)


def budgeted(*objects: Budget | Override, model: str = "gpt-4o-mini") -> ControlView:
    configured = control(deployment(models={"gpt-5-mini": model}))
    for number, each in enumerate(objects):
        configured = with_object(configured, each, 10 + number)
    return configured


def key(name: str = "month", subject: str = "", period: str = MONTH) -> AccountKey:
    return AccountKey("acme", name, subject, period)


class Ledger:
    """The stage and its state, without Kafka. `asked` and `rows` count offsets, as two topics do."""

    def __init__(self, *objects: Budget | Override, model: str = "gpt-4o-mini") -> None:
        self.control = budgeted(*objects, model=model)
        self.state = Accounts()
        self.asked = 0
        self.rows = 0
        self.alerts: list[Alert] = []

    def ask(
        self, request_id: str | None = None, *, at_ms: int = NOW_MS, offset: int | None = None, **event: Any
    ) -> Outcome:
        self.asked += 1
        where = self.asked if offset is None else offset
        return self.take(accepted(request_id or f"r-{where}", **event), where, at_ms)

    def admits(self, request_id: str | None = None, **event: Any) -> bool:
        return isinstance(self.ask(request_id, **event), Forward)

    def refusal(self, **event: Any) -> Failure:
        failure = finished(self.ask(**event)).failure
        assert failure is not None
        return failure

    def settle(
        self, request_id: str, usd: str | None, *, attempt_no: int = 1, is_final: bool = True, offset: int | None = None
    ) -> Outcome:
        """A priced row; the cost is unknown with None."""
        self.rows += offset is None
        cost = Cost(status="unknown_billable") if usd is None else Cost(status="priced", total_usd=Decimal(usd))
        row = attempt_row(
            ticket(request_id),
            plan(),
            attempt(attempt_no, attempt_id=f"attempt-{request_id}-{attempt_no}"),
            "priced",
            cost=cost,
            request_status="ok" if is_final else None,
        )
        return self.take(row, self.rows if offset is None else offset, NOW_MS)

    def take(self, event: Accepted | CallRow, offset: int, at_ms: int) -> Outcome:
        delivered = delivery(offset=offset, timestamp_ms=at_ms)
        outcome = decide(event, view(self.state, control=self.control, delivery=delivered, now_ms=at_ms))
        for record in records_of(outcome):
            if record.topic in {ACCOUNTS, BUDGETS}:
                self.state.apply(record.event, at_ms)
        self.alerts += on(ALERTS, records_of(outcome), Alert)
        return outcome

    def spent(self, of: AccountKey | None = None) -> Decimal:
        return self.state.spending.account(of or key()).spent_usd

    def held(self, of: AccountKey | None = None, at_ms: int = NOW_MS) -> Decimal:
        return self.state.spending.held_usd(of or key(), at_ms)


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


def test_a_request_that_may_cost_more_than_a_whole_period_allows_is_refused_for_good_and_wakes_nobody() -> None:
    ledger = Ledger(budget(usd="0.0003"))

    failure = ledger.refusal()

    assert (failure.code, failure.retryable, ledger.alerts) == ("budget_exceeded", False, [])
    assert "allows 0.0003 in a whole month" in failure.message


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


def test_the_operator_is_told_once_at_each_threshold() -> None:
    ledger = Ledger(budget(usd="0.001"))
    for number, usd in enumerate(("0.0003", "0.0003", "0.00025", "0.0001", "0.0001"), 1):
        ledger.take(accepted(f"r-{number}"), number, NOW_MS)
        ledger.settle(f"r-{number}", usd)

    assert [(alert.alert_id, alert.alert, alert.severity) for alert in ledger.alerts] == [
        ("acme/month//2026-11/80/0.001", "budget_warning", "warning"),
        ("acme/month//2026-11/100/0.001", "budget_exhausted", "critical"),
    ]


def test_the_first_refusal_tells_the_operator_that_a_budget_is_used_up() -> None:
    ledger = Ledger(budget(usd="0.0004"))
    ledger.admits("r-1")
    ledger.settle("r-1", "0.0002")

    assert not ledger.admits()
    assert not ledger.admits()

    ids = [alert.alert_id for alert in ledger.alerts]
    assert ids == ["acme/month//2026-11/80/0.0004", "acme/month//2026-11/100/0.0004"]
    assert "0.0002 USD of the 0.0004 USD" in ledger.alerts[0].message
    assert "what is left does not cover the next request" in ledger.alerts[0].message


def test_nobody_is_woken_where_the_room_is_only_held_for_others() -> None:
    ledger = Ledger(budget(usd="0.0004"))
    ledger.admits("r-1")

    assert not ledger.admits()
    assert ledger.alerts == []
    ledger.settle("r-1", "0.00039")
    assert [alert.alert for alert in ledger.alerts] == ["budget_warning"]


def test_a_budget_that_is_raised_is_told_anew() -> None:
    ledger = Ledger(budget(usd="0.001"))
    ledger.admits("r-1")
    ledger.settle("r-1", "0.0009")
    ledger.control = budgeted(budget(usd="0.01"))
    ledger.admits("r-2")
    ledger.settle("r-2", "0.008")

    assert [alert.threshold for alert in ledger.alerts] == ["80", "80"]
    assert len({alert.alert_id for alert in ledger.alerts}) == 2


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


def test_an_alert_that_may_not_have_left_before_a_crash_is_told_again_under_its_id() -> None:
    ledger = Ledger(budget(usd="0.0004"))
    ledger.admits("r-1")
    ledger.settle("r-1", "0.0002", offset=5)
    ledger.ask("r-2", offset=9)
    told = [alert.alert_id for alert in ledger.alerts]

    ledger.ask("r-2", offset=9)

    assert {alert.alert_id for alert in ledger.alerts} == set(told)
    assert len(ledger.alerts) == len(told) + 2


def test_a_threshold_passed_by_a_row_is_told_again_when_that_row_is_taken_again() -> None:
    ledger = Ledger(budget(usd="0.001"))
    ledger.admits("r-1")
    ledger.settle("r-1", "0.0009", offset=5)
    ledger.settle("r-1", "0.0009", offset=5)

    assert [alert.alert_id for alert in ledger.alerts] == ["acme/month//2026-11/80/0.001"] * 2


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
