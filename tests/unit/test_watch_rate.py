"""A loop that spends too fast is stopped by what it has spent, once, and neither history nor a burst is a reason."""

from decimal import Decimal
from typing import Any

import pytest
from faust.exceptions import ProducerSendError
from hypothesis import given
from hypothesis import strategies as st

from schemas.control import Tenant
from schemas.money import SpendRate, SpendStop
from schemas.usage import Cost
from streams.watch.rate import NORM_NEEDS, norm_usd, rated_usd, stop_alert, stop_for, threshold_usd, windows_since
from tests.fakes.call_rows import UNKNOWN, call_row, priced
from tests.fakes.watch_desk import NOW_MS, Desk, desk_for

CAP = SpendRate(usd_per_minute="10", pause_s=300)
STOPPED = ["alert spend_stopped tenant/acme", "stop acme"]


def stop(**changes: Any) -> SpendStop:
    facts: dict[str, Any] = {"usd_per_minute": "12", "threshold_usd": "10", "since_ms": NOW_MS, "until_ms": NOW_MS}
    return SpendStop(name="acme", **{**facts, **changes})


async def capped(**rate: Any) -> Desk:
    return await desk_for(Tenant(name="acme", spend_rate=SpendRate(**rate)))


async def spend(desk: Desk, usd: str, number: int) -> None:
    await desk.row(call_row(number, cost=priced(usd)))


def test_the_cap_or_the_norm_decides_whichever_is_less() -> None:
    both = SpendRate(usd_per_minute="10", times_norm=4)

    assert threshold_usd(both, Decimal(2)) == 8
    assert threshold_usd(both, Decimal(9)) == 10
    assert threshold_usd(both, None) == 10
    assert threshold_usd(SpendRate(times_norm=4), None) is None
    assert threshold_usd(SpendRate(), Decimal(1)) is None


def test_a_norm_needs_ten_minutes_with_spending_and_leaves_out_the_idle_ones() -> None:
    busy, idle = [Decimal(3)] * NORM_NEEDS, [Decimal(0)] * 50

    assert norm_usd(busy + idle) == 3
    assert norm_usd(busy[1:] + idle) is None


def test_spending_exactly_the_threshold_is_allowed() -> None:
    def made(spent: str) -> SpendStop | None:
        return stop_for("acme", CAP, Decimal(spent), None, written_at_ms=NOW_MS - 5, now_ms=NOW_MS)

    assert made("10") is None
    assert made("10.000000001") == stop(
        usd_per_minute="10.000000001", since_ms=NOW_MS - 5, until_ms=NOW_MS + 300_000, threshold_usd="10"
    )


@given(st.decimals(0, 10**6, places=12), st.integers(2, 1_000))
def test_any_norm_makes_a_stop_that_can_be_written(norm: Decimal, times: int) -> None:
    rate = SpendRate(times_norm=times)

    made = stop_for("acme", rate, norm * times + 1, norm, written_at_ms=NOW_MS, now_ms=NOW_MS)

    assert made is not None
    assert SpendStop.decode(made.encode()) == made


def test_spending_beyond_all_columns_stops_too() -> None:
    made = stop_for("acme", CAP, Decimal(1_999_999_998), None, written_at_ms=NOW_MS, now_ms=NOW_MS)
    assert made is not None
    assert made.usd_per_minute == "999999999.999999999"


def test_what_was_spent_before_a_stop_ended_is_no_reason_for_the_next() -> None:
    assert windows_since(None, NOW_MS) == 6
    assert windows_since(stop(), NOW_MS) == 0
    assert windows_since(stop(), NOW_MS + 10_000) == 1
    assert windows_since(stop(until_ms=NOW_MS - 60_000, since_ms=NOW_MS - 90_000), NOW_MS) == 6


def test_a_lost_call_counts_with_what_it_may_come_to() -> None:
    lost = Cost(status="unknown_billable", estimated_usd=Decimal("0.5"))

    assert rated_usd(call_row(cost=lost)) == Decimal("0.5")
    assert rated_usd(call_row(cost=priced("0.25"))) == Decimal("0.25")
    assert rated_usd(call_row(cost=UNKNOWN)) is None
    assert rated_usd(call_row(phase="settled", cost=lost)) is None
    assert rated_usd(call_row(tenant_id="", cost=priced("1"))) is None


def test_the_alert_has_the_numbers_what_to_do_and_an_id_of_its_stop() -> None:
    alert = stop_alert(stop(until_ms=NOW_MS + 300_000), NOW_MS)

    assert (alert.alert_id, alert.value, alert.threshold) == (f"acme/{NOW_MS}", "12", "10")
    assert "refused for 300 s" in alert.message
    assert "millrace spend-stop lift acme" in alert.message


@pytest.mark.asyncio
async def test_a_loop_is_stopped_and_told_once_however_many_calls_still_end() -> None:
    desk = await capped(usd_per_minute="2")
    for number in range(20):
        await spend(desk, "0.5", number)
        desk.pass_time(100)

    assert desk.outlet.said == STOPPED
    (made,) = desk.outlet.published
    assert isinstance(made, SpendStop)
    assert (made.usd_per_minute, made.threshold_usd) == ("2.5", "2")
    assert made.until_ms == made.since_ms + 300_000


@pytest.mark.asyncio
async def test_one_batch_stops_a_tenant_once() -> None:
    desk = await capped(usd_per_minute="2")

    await desk.rows(*(call_row(number, cost=priced("1")) for number in range(9)))

    assert desk.outlet.said == STOPPED


@pytest.mark.asyncio
async def test_the_same_money_spread_over_more_than_a_minute_stops_nobody() -> None:
    desk = await capped(usd_per_minute="2")
    for number in range(20):
        await spend(desk, "0.5", number)
        desk.pass_time(20_000)

    assert desk.outlet.said == []


@pytest.mark.asyncio
async def test_a_loop_that_goes_on_after_its_stop_is_stopped_again() -> None:
    desk = await capped(usd_per_minute="2", pause_s=60)
    for number in range(5):
        await spend(desk, "0.5", number)
    desk.pass_time(70_000)
    await spend(desk, "0.5", 6)
    assert desk.outlet.said == STOPPED

    for number in range(7, 12):
        await spend(desk, "0.5", number)
    assert desk.outlet.said == STOPPED * 2


@pytest.mark.asyncio
async def test_more_than_its_norm_stops_a_tenant_that_has_one() -> None:
    desk = await capped(times_norm=5)
    for number in range(12):
        await spend(desk, "0.5", number)
        desk.pass_time(60_000)
    assert desk.outlet.said == []

    for number in range(12, 18):
        await spend(desk, "0.5", number)

    assert desk.outlet.said == STOPPED


@pytest.mark.asyncio
async def test_history_stops_nobody() -> None:
    desk = await capped(usd_per_minute="2")
    desk.clock.now_ms += 60_001
    for number in range(9):
        await spend(desk, "0.5", number)

    assert desk.outlet.said == []


@pytest.mark.asyncio
async def test_a_tenant_without_a_rate_may_spend_and_nothing_is_kept_of_it() -> None:
    desk = await desk_for(Tenant(name="acme"))
    await spend(desk, "999", 1)

    assert desk.outlet.said == []
    assert desk.tables.spend_rate.writes == 0


@pytest.mark.asyncio
async def test_a_stop_that_could_not_be_written_is_told_again_under_the_same_id() -> None:
    desk = await capped(usd_per_minute="2")
    desk.outlet.refusals.append("stop acme")

    with pytest.raises(ProducerSendError):
        await spend(desk, "3", 1)
    await spend(desk, "3", 1)

    assert desk.outlet.said == [STOPPED[0], *STOPPED]
    assert len({alert.alert_id for alert in desk.outlet.alerts}) == 1
