"""What the two agents do with a batch, with tables in memory and an outlet that writes everything down."""

from dataclasses import replace
from decimal import Decimal
from typing import cast

import pytest
from faust.exceptions import ProducerSendError
from msgspec.structs import replace as changed

from schemas.control import Tenant
from schemas.usage import Cost
from streams.watch.bookkeeper import has_only_started
from streams.watch.breaker import Call
from streams.watch.sightings import (
    EARLIER_HEADER,
    CallSeen,
    TimePassed,
    UnpricedSeen,
    alone,
    calls_in,
    calls_together,
)
from tests.fakes.call_rows import call_row, priced
from tests.fakes.watch_desk import NOW_MS, SETTINGS, desk_for


@pytest.mark.asyncio
async def test_an_attempt_that_is_settled_and_then_priced_is_seen_once_and_booked_once() -> None:
    desk = await desk_for()

    outcomes = [await desk.row(call_row(1, phase)) for phase in ("started", "settled", "settled", "priced", "priced")]

    assert outcomes == ["started", "settled", "repeated", "priced", "repeated"]
    assert [type(sighting) for sighting in desk.outlet.sightings] == [CallSeen]
    assert desk.tables.spend_day.at("acme", NOW_MS).usd == Decimal("0.000749501")


@pytest.mark.asyncio
async def test_the_last_attempt_of_a_request_is_seen_although_it_is_only_ever_priced() -> None:
    desk = await desk_for()

    await desk.row(call_row(1, error_class="timeout", request_status="failed"))

    assert [cast("CallSeen", sighting).verdict for sighting in desk.outlet.sightings] == ["failed"]


@pytest.mark.asyncio
async def test_a_settled_row_that_comes_after_the_priced_one_undoes_nothing() -> None:
    desk = await desk_for()

    outcomes = [await desk.row(call_row(1, phase)) for phase in ("priced", "settled", "priced")]

    assert outcomes == ["priced", "repeated", "repeated"]


@pytest.mark.asyncio
async def test_a_row_older_than_the_window_is_booked_but_says_nothing_about_health_now() -> None:
    desk = await desk_for()
    desk.clock.now_ms += 30_001

    assert await desk.row(call_row()) == "priced"

    assert desk.outlet.sightings == []
    assert desk.tables.spend_minute.at("acme", NOW_MS).usd > 0


@pytest.mark.asyncio
async def test_nobody_is_woken_for_the_day_before_yesterday() -> None:
    desk = await desk_for(Tenant(name="acme", daily_spend_alert_usd="0"))
    desk.clock.now_ms += 86_400_001

    assert await desk.row(call_row()) == "too_old"
    assert desk.outlet.said == []


@pytest.mark.asyncio
async def test_each_day_has_its_own_alert() -> None:
    desk = await desk_for(Tenant(name="acme", daily_spend_alert_usd="1.5"))
    for number in range(4):
        await desk.row(call_row(number, cost=priced("1")))
    assert desk.outlet.said == ["alert daily_spend tenant/acme"]

    desk.pass_time(86_400_000)
    await desk.row(call_row(5, cost=priced("1")))
    assert len(desk.outlet.said) == 1
    await desk.row(call_row(6, cost=priced("1")))
    assert len(desk.outlet.said) == 2


@pytest.mark.asyncio
async def test_a_row_whose_alert_could_not_be_sent_is_not_remembered_as_booked() -> None:
    desk = await desk_for(Tenant(name="acme", daily_spend_alert_usd="0.5"))
    desk.outlet.refusals.append("alert daily_spend tenant/acme")

    with pytest.raises(ProducerSendError):
        await desk.row(call_row(1, cost=priced("1")))
    assert await desk.row(call_row(1, cost=priced("1"))) == "priced"

    assert desk.outlet.said == ["alert daily_spend tenant/acme"]
    assert desk.tables.spend_day.at("acme", NOW_MS).usd == 1


@pytest.mark.asyncio
async def test_a_tenant_whose_requests_fail_is_told_about_once_in_five_minutes() -> None:
    desk = await desk_for()
    for number in range(30):
        await desk.row(call_row(number, request_status="failed", cost=priced("0")))
    assert desk.outlet.said == ["alert error_share tenant/acme"]

    desk.pass_time(300_000)
    for number in range(30, 60):
        await desk.row(call_row(number, request_status="failed", cost=priced("0")))
    assert len(desk.outlet.said) == 2


@pytest.mark.asyncio
async def test_a_model_without_a_price_is_told_once_an_hour() -> None:
    desk = await desk_for()
    assert await desk.row(call_row(1, cost=Cost(status="unpriced"))) == "priced"
    seen = desk.outlet.sightings[-1]
    assert isinstance(seen, UnpricedSeen)

    for _ in range(3):
        await desk.sighting(seen)
    assert desk.outlet.said == ["alert unpriced_model model/gpt-5-mini"]
    desk.pass_time(3_600_000)
    await desk.sighting(seen)
    assert len(desk.outlet.said) == 2


@pytest.mark.asyncio
async def test_trouble_is_told_before_it_is_acted_on_and_both_happen_again_after_a_crash_in_between() -> None:
    desk = await desk_for()
    for _ in range(9):
        await desk.call("failed")
    desk.outlet.refusals.append("breaker openai-1 open")

    with pytest.raises(ProducerSendError):
        await desk.call("failed")
    assert desk.outlet.said == ["alert deployment_unhealthy deployment/openai-1"]
    await desk.call("failed")

    assert desk.outlet.said[1:] == ["alert deployment_unhealthy deployment/openai-1", "breaker openai-1 open"]


@pytest.mark.asyncio
async def test_failures_spread_over_the_whole_window_open_the_breaker() -> None:
    desk = await desk_for()
    for _ in range(10):
        await desk.call("failed")
        desk.pass_time(3_000)

    assert desk.outlet.said[-1] == "breaker openai-1 open"


@pytest.mark.asyncio
async def test_failures_that_have_left_the_window_do_not_count() -> None:
    desk = await desk_for()
    for _ in range(9):
        await desk.call("failed")
    desk.pass_time(30_000)
    for _ in range(9):
        await desk.call("failed")

    assert desk.outlet.said == []


@pytest.mark.asyncio
async def test_what_opened_the_breaker_is_forgotten_when_it_closes() -> None:
    desk = await desk_for()
    for _ in range(10):
        await desk.call("failed")
    desk.pass_time(10_000)
    await desk.sighting(TimePassed(subject="openai-1"))
    await desk.call("answered")
    assert desk.outlet.said[-2:] == ["alert deployment_recovered deployment/openai-1", "breaker openai-1 closed"]

    for _ in range(9):
        await desk.call("failed")
    desk.pass_time(5_000)
    assert desk.outlet.said[-1] == "breaker openai-1 closed"
    await desk.call("failed")
    assert desk.outlet.said[-1] == "breaker openai-1 open"


@pytest.mark.asyncio
async def test_a_sighting_that_comes_late_is_no_evidence() -> None:
    desk = await desk_for()
    desk.clock.now_ms += 30_001

    outcomes = {await desk.call("failed") for _ in range(20)}

    assert outcomes == {"too_old"}
    assert desk.outlet.said == []


@pytest.mark.asyncio
async def test_time_passing_for_a_healthy_deployment_changes_nothing() -> None:
    desk = await desk_for()

    assert await desk.sighting(TimePassed(subject="openai-1")) == "time"
    assert desk.outlet.said == []


@pytest.mark.asyncio
async def test_a_batch_is_booked_and_told_as_its_rows_would_be_one_by_one() -> None:
    rows = [
        call_row(number, phase, tenant_id=f"tenant-{number % 2}", cost=priced("1"), request_status="failed")
        for number in range(60)
        for phase in ("started", "priced", "priced")
    ]
    limits = [Tenant(name=f"tenant-{number}", daily_spend_alert_usd="9.5") for number in range(2)]
    together, alone_ = await desk_for(*limits), await desk_for(*limits)

    outcomes = await together.rows(*rows)
    for row in rows:
        await alone_.row(row)

    assert outcomes == {"started": 60, "priced": 60, "repeated": 60}
    assert sorted(together.outlet.said) == sorted(alone_.outlet.said)
    assert len(together.outlet.said) == 4
    for name in ("spend_minute", "spend_day", "answers"):
        assert getattr(together.tables, name).kept == getattr(alone_.tables, name).kept
        assert getattr(together.tables, name).writes == 2


@pytest.mark.asyncio
async def test_a_batch_says_once_what_it_has_seen_of_each_deployment_and_nothing_is_lost_of_it() -> None:
    desk = await desk_for()
    rows = [
        call_row(number, deployment=f"openai-{number % 2}", error_class=error)
        for number, error in enumerate(["timeout"] * 20 + [None] * 3)
    ]

    await desk.rows(*rows)
    assert len(desk.outlet.sighted) == 2
    outcomes = await desk.sighted(*desk.outlet.sighted)

    assert outcomes == {"call": 23}
    assert desk.outlet.said == [
        f"{what} {where}"
        for name in ("openai-0", "openai-1")
        for what, where in (("alert deployment_unhealthy", f"deployment/{name}"), ("breaker", f"{name} open"))
    ]
    assert desk.tables.health.writes == 2


@pytest.mark.asyncio
async def test_rows_of_two_buckets_of_health_count_in_their_own() -> None:
    desk = await desk_for()
    times_ms = (NOW_MS, NOW_MS + SETTINGS.bucket_s * 1_000)
    page = desk.page_of_rows()
    for number, at_ms in enumerate(times_ms):
        page.take(changed(desk.delivery_of(call_row(number)), timestamp_ms=at_ms))
    await page.close()

    assert tuple(at_ms for _, at_ms in desk.outlet.sighted) == times_ms
    await desk.sighted(*desk.outlet.sighted)
    assert [desk.tables.health.at("openai-1", at_ms).calls for at_ms in times_ms] == [1, 1]


@pytest.mark.asyncio
async def test_answers_without_a_price_are_told_of_once_and_all_counted() -> None:
    desk = await desk_for()
    await desk.rows(*(call_row(number, cost=Cost(status="unpriced"), started_at_ms=None) for number in range(7)))

    assert await desk.sighted(*desk.outlet.sighted) == {"unpriced": 7}
    assert desk.outlet.said == ["alert unpriced_model model/gpt-5-mini"]


@pytest.mark.asyncio
async def test_a_batch_whose_alert_could_not_be_sent_leaves_no_trace_in_any_table() -> None:
    desk = await desk_for(Tenant(name="acme", daily_spend_alert_usd="0.5"))
    desk.outlet.refusals.append("alert daily_spend tenant/acme")
    rows = [call_row(number, cost=priced("1")) for number in range(5)]

    with pytest.raises(ProducerSendError):
        await desk.rows(*rows)
    assert desk.tables.spend_day.kept == {}
    assert desk.tables.attempts.keys == []

    assert await desk.rows(*rows) == {"priced": 5}
    assert desk.tables.spend_day.at("acme", NOW_MS).usd == 5


def test_only_the_head_of_a_row_says_that_it_has_only_started() -> None:
    assert has_only_started(call_row(1, "started").encode())
    assert not has_only_started(call_row(1, labels={"phase": "started"}).encode())
    assert not has_only_started(b"")


@pytest.mark.asyncio
async def test_a_sighting_that_an_older_version_reads_is_one_of_those_it_stands_for() -> None:
    calls = [Call("failed", NOW_MS + n, n) for n in range(3)]

    record = calls_together("openai-1", calls)

    last = CallSeen.decode(record.value)
    assert (record.subject, last.subject, last.call) == ("openai-1", "openai-1", calls[-1])
    assert calls_in(last, tuple(record.headers)) == calls


@pytest.mark.asyncio
@pytest.mark.parametrize("header", [b"", b"[", b'[["failed"]]', b'[["well",1,null]]', b"3"])
async def test_a_sighting_whose_header_cannot_be_read_is_refused_and_changes_nothing(header: bytes) -> None:
    desk = await desk_for()
    seen = CallSeen(subject="openai-1", verdict="failed", started_at_ms=NOW_MS, provider_ms=1)

    with pytest.raises(ValueError, match="validation error"):
        await desk.sighted((replace(alone(seen), headers=[(EARLIER_HEADER, header)]), NOW_MS))
    assert desk.tables.health.kept == {}


@pytest.mark.asyncio
async def test_a_429_halves_what_was_answered_and_every_step_back_needs_its_time_only() -> None:
    desk = await desk_for()
    for _ in range(20):
        await desk.call("answered")
    for _ in range(30):
        await desk.call("limited")
    assert desk.outlet.said == ["slowdown openai-1 120/240"]

    for _ in range(2):
        desk.pass_time(5_000)
        for _ in range(2):
            await desk.sighting(TimePassed(subject="openai-1"))

    assert desk.outlet.said[1:] == ["slowdown openai-1 144/240", "slowdown openai-1 168/240"]


@pytest.mark.asyncio
async def test_a_429_after_the_cut_was_heard_of_halves_again() -> None:
    desk = await desk_for()
    for _ in range(20):
        await desk.call("answered")
    for _ in range(10):
        await desk.call("limited")

    desk.pass_time(3_000)
    await desk.call("limited", begun_ms=2_500)
    await desk.call("limited")

    assert desk.outlet.said == ["slowdown openai-1 120/240", "slowdown openai-1 60/240"]
