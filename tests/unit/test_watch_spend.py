"""Money is added up to the last digit, and the operator is told once."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.usage import Cost
from streams.watch.answers import Answers, AnswersTally, ends_a_request, share_alert
from streams.watch.sightings import UnpricedSeen
from streams.watch.spend import Spend, SpendTally, booked_usd, daily_alert
from streams.watch.unpriced import unpriced_alert
from tests.fakes.call_rows import UNKNOWN, call_row, priced

NOW_MS = 1_795_000_000_000
MINUTE = SpendTally(Spend(usd=Decimal("0.5")))
NANO_DOLLARS = st.integers(0, 10**12)


@given(st.lists(NANO_DOLLARS, max_size=60))
def test_a_thousand_small_sums_make_exactly_the_large_one(nano_dollars: list[int]) -> None:
    spend = Spend()
    for amount in nano_dollars:
        tally = SpendTally(spend)
        tally.usd += Decimal(amount).scaleb(-9)
        spend = Spend.decode(tally.event.encode())

    assert spend.usd == Decimal(sum(nano_dollars)).scaleb(-9)


@pytest.mark.parametrize(
    "changes",
    [
        {"phase": "settled"},
        {"cost": UNKNOWN},
        {"cost": Cost(status="unpriced")},
        {"cost": priced("0")},
        {"tenant_id": ""},
    ],
)
def test_nothing_is_booked_that_is_not_a_price_of_a_tenant(changes: dict[str, object]) -> None:
    assert booked_usd(replace(call_row(), **changes)) is None


def test_a_priced_row_is_booked_at_its_total() -> None:
    assert booked_usd(call_row(cost=priced("0.000749501"))) == Decimal("0.000749501")


def test_passing_the_daily_limit_is_told_with_the_numbers_and_what_to_do() -> None:
    day = SpendTally(Spend(usd=Decimal("10.000000001")))

    alert = daily_alert("acme", day, MINUTE, Decimal(10), written_at_ms=NOW_MS, now_ms=NOW_MS)

    assert alert is not None
    assert (alert.alert, alert.subject, alert.value, alert.threshold) == (
        "daily_spend",
        "tenant/acme",
        "10.000000001",
        "10",
    )
    assert "2026-11-18 (UTC), 0.5 USD of it in the last minute" in alert.message


@pytest.mark.parametrize(
    ("day", "limit"),
    [
        (Spend(usd=Decimal(10)), Decimal(10)),
        (Spend(usd=Decimal(99)), None),
        (Spend(usd=Decimal(99), alerted=True), Decimal(10)),
    ],
)
def test_no_alert_at_the_limit_without_one_or_a_second_time(day: Spend, limit: Decimal | None) -> None:
    assert daily_alert("acme", SpendTally(day), MINUTE, limit, written_at_ms=NOW_MS, now_ms=NOW_MS) is None


def test_rejected_requests_and_rows_that_end_nothing_do_not_count_as_answers() -> None:
    assert ends_a_request(call_row())
    assert not ends_a_request(call_row(request_status="rejected"))
    assert not ends_a_request(call_row(is_final=False))
    assert not ends_a_request(call_row(tenant_id=""))


def test_a_large_share_of_failed_requests_is_told_once() -> None:
    answers = AnswersTally(Answers())
    for number in range(20):
        answers.count(call_row(request_status=("failed", "expired", "ok", "ok")[number % 4]))

    alert = share_alert("acme", answers, min_requests=20, share=0.5, now_ms=NOW_MS)

    assert alert is not None
    assert (alert.alert, alert.value) == ("error_share", "0.500")
    assert share_alert("acme", answers, min_requests=21, share=0.5, now_ms=NOW_MS) is None
    assert share_alert("acme", answers, min_requests=20, share=0.51, now_ms=NOW_MS) is None
    answers.alerted = True
    assert share_alert("acme", answers, min_requests=20, share=0.5, now_ms=NOW_MS) is None
    assert share_alert("acme", AnswersTally(answers.event), min_requests=20, share=0.5, now_ms=NOW_MS) is None


def test_an_unpriced_model_is_named_with_its_provider() -> None:
    alert = unpriced_alert(UnpricedSeen(subject="gpt-9", provider="openai"), NOW_MS)

    assert (alert.alert, alert.subject) == ("unpriced_model", "model/gpt-9")
    assert "gpt-9 by openai" in alert.message
