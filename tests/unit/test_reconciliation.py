"""Ours against theirs: each side whole, each difference explained, and the same whenever it is run again."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.adjustment import NOTHING, Adjustment, BookedCall
from schemas.usage import CostStatus
from streams.cost.reconciliation import (
    Agrees,
    Differs,
    Found,
    NotBilled,
    NotFound,
    Outcome,
    Period,
    Stray,
    compare,
)
from streams.cost.settlement import Settlement, settle
from streams.cost.usage_export import UsageRecord
from tests.fakes.booked_calls import STARTED_AT_MS, booked_call, usage_record

ALWAYS = Period(STARTED_AT_MS, STARTED_AT_MS + 3_600_000)


def outcome(call: BookedCall | None, record: UsageRecord | None, *, is_complete: bool = True) -> Outcome:
    (found,) = compare([call] if call else [], [record] if record else [], ALWAYS, is_complete=is_complete)
    return found


def settled(
    calls: Sequence[BookedCall],
    records: Sequence[UsageRecord],
    standing: Sequence[Adjustment] = (),
    *,
    is_complete: bool = True,
    period: Period = ALWAYS,
) -> Settlement:
    return settle(calls, records, standing, period, is_complete=is_complete, run_id="run")


def after(calls: Sequence[BookedCall], written: Sequence[Adjustment]) -> list[BookedCall]:
    """The calls as the ledger has them once these are stored."""
    found: list[BookedCall] = []
    for call in calls:
        adjusted = call
        for each in written:
            same = (each.tenant_id, each.produced_at_ms, each.request_id, each.attempt_id)
            is_mine = same == (call.tenant_id, call.produced_at_ms, call.request_id, call.attempt_id)
            if is_mine and not each.is_stray:
                adjusted = adjusted.adjusted(each)
        found.append(adjusted)
    return found


GUESSED = booked_call(usd="0.002", cost_status="estimated")
UNKNOWN = booked_call(usd=None)


@pytest.mark.parametrize(
    ("call", "record", "expected"),
    [
        (booked_call(), usage_record(), Agrees(booked_call(), usage_record())),
        (booked_call(), usage_record(usd="0.003"), Differs(booked_call(), usage_record(usd="0.003"))),
        (GUESSED, usage_record(), Found(GUESSED, usage_record())),
        (GUESSED, usage_record(usd="0.002"), Found(GUESSED, usage_record(usd="0.002"))),
        (UNKNOWN, usage_record(), Found(UNKNOWN, usage_record())),
        (GUESSED, None, NotBilled(GUESSED)),
        (UNKNOWN, None, NotBilled(UNKNOWN)),
        (booked_call(), None, NotFound(booked_call())),
        (booked_call(usd="0"), None, Agrees(booked_call(usd="0"), None)),
        (None, usage_record(), Stray(usage_record(), None)),
    ],
)
def test_what_is_made_of_a_call_and_a_record(
    call: BookedCall | None, record: UsageRecord | None, expected: Outcome
) -> None:
    assert outcome(call, record) == expected


def test_an_export_that_is_not_complete_says_nothing_of_what_is_not_in_it() -> None:
    assert outcome(UNKNOWN, None, is_complete=False) == NotFound(UNKNOWN)
    assert settled([UNKNOWN], [], is_complete=False).difference_usd == 0


def test_a_lost_call_without_the_providers_id_is_found_by_the_attempt_that_went_along() -> None:
    lost = replace(UNKNOWN, provider_request_id=None)
    assert isinstance(outcome(lost, usage_record(request_id="req-unheard")), Found)
    found = compare([lost], [usage_record(client_request_id=None)], ALWAYS, is_complete=True)
    assert [type(each) for each in found] == [NotBilled, Stray]


def test_a_call_that_is_charged_twice_has_one_record_and_the_other_is_booked_to_its_tenant() -> None:
    twice = usage_record(request_id="req-1b", usd="0.004")
    result = settled([booked_call()], [usage_record(), twice])
    assert [type(each) for each in result.outcomes] == [Agrees, Stray]
    (written,) = result.writes
    assert (written.tenant_id, written.attempt_id, written.delta_usd) == ("acme", "attempt-1", Decimal("0.004"))
    assert result.difference_usd == 0


def test_a_charge_that_nobody_asked_for_is_booked_under_no_tenant() -> None:
    (written,) = settled([], [usage_record()]).writes
    assert (written.tenant_id, written.delta_usd, written.before_usd) == ("", Decimal("0.001"), NOTHING)


def test_a_call_with_a_price_that_the_provider_does_not_know_of_stays_a_difference() -> None:
    result = settled([booked_call(usd="0.005")], [])
    assert (result.writes, result.difference_usd) == ((), Decimal("0.005"))


def test_a_call_at_midnight_belongs_to_the_day_of_the_providers_record() -> None:
    before, later = Period(0, STARTED_AT_MS + 100), Period(STARTED_AT_MS + 100, STARTED_AT_MS + 10_000)
    assert settled([booked_call()], [usage_record()], period=before).outcomes == ()
    assert [type(each) for each in settled([booked_call()], [usage_record()], period=later).outcomes] == [Agrees]


def test_a_later_export_replaces_what_an_earlier_one_said() -> None:
    first = settled([UNKNOWN], [])
    (call,) = after([UNKNOWN], first.writes)
    assert call.amount_usd == 0
    second = settled([call], [usage_record()])
    (call,) = after([call], second.writes)
    assert (call.amount_usd, len(call.adjustments)) == (Decimal("0.001"), 1)


def test_a_stray_whose_row_arrives_later_is_withdrawn() -> None:
    strays = settled([], [usage_record()]).writes
    late = settled([booked_call()], [usage_record()], strays)
    assert [(each.adjustment_id, each.delta_usd) for each in late.writes] == [(strays[0].adjustment_id, NOTHING)]
    assert (late.ours_before_usd, late.ours_after_usd) == (Decimal("0.002"), Decimal("0.001"))


def test_a_stray_whose_row_arrives_later_is_withdrawn_by_a_part_of_an_export_too() -> None:
    strays = settled([], [usage_record()], is_complete=False).writes
    late = settled([booked_call()], [usage_record()], strays, is_complete=False)
    assert [(each.adjustment_id, each.delta_usd) for each in late.writes] == [(strays[0].adjustment_id, NOTHING)]
    assert late.ours_after_usd == late.theirs_usd


def test_a_charge_that_the_provider_corrects_takes_the_place_of_what_it_said_before() -> None:
    before = settled([], [usage_record(usd="0.5")], is_complete=False).writes
    corrected = settled([], [usage_record(usd="0.6")], before, is_complete=False)
    assert sorted(each.delta_usd for each in corrected.writes) == [NOTHING, Decimal("0.6")]


def test_a_record_of_one_provider_is_never_that_of_anothers_call() -> None:
    theirs = usage_record(provider="anthropic", usd="7")
    found = compare([booked_call()], [theirs], ALWAYS, is_complete=False)
    assert [type(each) for each in found] == [NotFound, Stray]


def test_a_withdrawn_adjustment_makes_no_unknown_cost_known() -> None:
    first = settled([UNKNOWN], [usage_record()])
    (call,) = after([UNKNOWN], first.writes)
    certain = replace(call, cost_status="unpriced")  # what was a guess then is now known to have no price
    again = settled([certain], [])
    (call,) = after([certain], again.writes)
    assert call.amount_usd is None


NUMBERS = st.integers(0, 7)
AMOUNTS = st.integers(0, 5).map(lambda number: f"{number}e-9")
STATUSES: st.SearchStrategy[CostStatus] = st.sampled_from(["priced", "estimated", "unknown_billable", "unpriced"])


def named(prefix: str) -> st.SearchStrategy[str | None]:
    return st.none() | NUMBERS.map(lambda number: f"{prefix}-{number}")


@st.composite
def any_call(draw: st.DrawFn) -> BookedCall:
    number = draw(NUMBERS)
    known = f"req-{number}" if draw(st.booleans()) else None
    return booked_call(number, draw(st.none() | AMOUNTS), cost_status=draw(STATUSES), provider_request_id=known)


@st.composite
def any_record(draw: st.DrawFn) -> UsageRecord:
    ids = {"request_id": draw(named("req")), "client_request_id": draw(named("attempt"))}
    return usage_record(draw(NUMBERS), draw(AMOUNTS), **ids)


calls = st.lists(any_call(), unique_by=lambda call: call.attempt_id)
records = st.lists(any_record(), unique=True)


@given(calls, records, st.booleans())
def test_every_call_and_every_record_has_exactly_one_outcome(
    calls: list[BookedCall], records: list[UsageRecord], is_complete: bool
) -> None:
    found = compare(calls, records, ALWAYS, is_complete=is_complete)
    ours = [each.call.attempt_id for each in found if not isinstance(each, Stray)]
    theirs = [each.record for each in found if not isinstance(each, NotBilled | NotFound) and each.record]
    assert sorted(ours) == sorted(call.attempt_id for call in calls)
    assert len(theirs) == len(records)
    assert set(theirs) == set(records)


@given(calls, records)
def test_the_order_in_which_anything_is_listed_changes_nothing(
    calls: list[BookedCall], records: list[UsageRecord]
) -> None:
    turned = compare(calls[::-1], records[::-1], ALWAYS, is_complete=True)
    assert turned == compare(calls, records, ALWAYS, is_complete=True)


@given(calls, records)
def test_what_is_left_of_the_difference_is_what_we_have_a_price_for_and_they_no_record_of(
    calls: list[BookedCall], records: list[UsageRecord]
) -> None:
    result = settled(calls, records)
    unexplained = sum((each.call.amount_usd or NOTHING for each in result.not_found), NOTHING)
    assert result.difference_usd == unexplained
    stored = after(calls, result.writes)
    strays = sum((each.delta_usd for each in result.writes if each.is_stray), NOTHING)
    assert sum((call.amount_usd or NOTHING for call in stored), strays) == result.ours_after_usd


@given(calls, records, st.booleans())
def test_running_it_twice_writes_nothing_the_second_time(
    calls: list[BookedCall], records: list[UsageRecord], is_complete: bool
) -> None:
    first = settled(calls, records, is_complete=is_complete)
    again = settled(after(calls, first.writes), records, first.writes, is_complete=is_complete)
    assert again.writes == ()
    assert again.ours_before_usd == again.ours_after_usd == first.ours_after_usd


@given(calls, records, records)
def test_whatever_was_compared_before_the_last_export_has_the_last_word(
    calls: list[BookedCall], earlier: list[UsageRecord], records: list[UsageRecord]
) -> None:
    first = settled(calls, earlier)
    second = settled(after(calls, first.writes), records, first.writes)
    fresh = settled(calls, records)
    assert second.ours_after_usd == fresh.ours_after_usd
    stored = {each.adjustment_id: each for each in (*first.writes, *second.writes)}
    standing = sum((each.delta_usd for each in stored.values()), NOTHING)
    assert standing == sum((each.delta_usd for each in fresh.writes), NOTHING)
