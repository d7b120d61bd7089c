"""The operator is told once at each threshold of a budget, and told what is true."""

from tests.unit.examples import (
    NOW_MS,
    accepted,
)
from tests.unit.spending import Ledger, budget, budgeted


def test_a_request_that_may_cost_more_than_a_whole_period_allows_is_refused_for_good_and_wakes_nobody() -> None:
    ledger = Ledger(budget(usd="0.0003"))

    failure = ledger.refusal()

    assert (failure.code, failure.retryable, ledger.alerts) == ("budget_exceeded", False, [])
    assert "allows 0.0003 in a whole month" in failure.message


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
