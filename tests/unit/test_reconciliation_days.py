"""One day after the other, in any order and again, and one account beside the other: as if it were done at once."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from schemas.adjustment import Adjustment, BookedCall
from schemas.usage import CostStatus
from streams.cost.reconciliation import Period
from streams.cost.settlement import settle
from streams.cost.usage_export import UsageRecord
from tests.fakes.booked_calls import STARTED_AT_MS, booked_call, usage_record

DAY_MS = 1_000
DAYS = [Period(STARTED_AT_MS + day * DAY_MS, STARTED_AT_MS + (day + 1) * DAY_MS) for day in range(3)]
SPAN = Period(DAYS[0].start_ms, DAYS[-1].end_ms)


class Books:
    """Calls, and the adjustments that were stored since."""

    def __init__(self, calls: Sequence[BookedCall]) -> None:
        self._calls = calls
        self._standing: dict[str, Adjustment] = {}

    def compare(
        self, records: Sequence[UsageRecord], period: Period, *deployments: str, is_complete: bool = True
    ) -> tuple[Adjustment, ...]:
        calls = [call for call in self.calls if not deployments or call.deployment in deployments]
        writes = settle(
            calls,
            records,
            self._standing.values(),
            period,
            is_complete=is_complete,
            run_id="run",
            deployments=deployments,
        ).writes
        self._standing |= {each.adjustment_id: each for each in writes}
        return writes

    @property
    def calls(self) -> list[BookedCall]:
        own: dict[str, list[Adjustment]] = {}
        for each in self._standing.values():
            if not each.is_stray:
                own.setdefault(each.attempt_id, []).append(each)
        return [replace(call, adjustments=tuple(own.get(call.attempt_id, ()))) for call in self._calls]

    @property
    def amounts(self) -> dict[str, Decimal | None]:
        strays = {each.adjustment_id: each.delta_usd for each in self._standing.values() if each.is_stray}
        return {call.attempt_id: call.amount_usd for call in self.calls} | {
            name: usd for name, usd in strays.items() if usd
        }


AMOUNTS = st.integers(0, 3).map(lambda number: f"{number}e-9")
STATUSES: st.SearchStrategy[CostStatus] = st.sampled_from(["priced", "estimated", "unknown_billable", "unpriced"])
TIMES = st.integers(0, 3 * DAY_MS - 1).map(lambda at: STARTED_AT_MS + at)
NUMBERS = st.integers(0, 5)


@st.composite
def any_call(draw: st.DrawFn) -> BookedCall:
    known = f"req-{number}" if (number := draw(st.none() | NUMBERS)) is not None else None
    at_ms = draw(TIMES)
    return booked_call(
        draw(NUMBERS),
        draw(st.none() | AMOUNTS),
        cost_status=draw(STATUSES),
        provider_request_id=known,
        produced_at_ms=at_ms,
        started_at_ms=at_ms,
    )


@st.composite
def any_record(draw: st.DrawFn) -> UsageRecord:
    def name(prefix: str) -> str | None:
        number = draw(st.none() | NUMBERS)
        return None if number is None else f"{prefix}-{number}"

    return usage_record(
        draw(NUMBERS),
        draw(AMOUNTS),
        at_ms=draw(TIMES),
        request_id=name("req"),
        client_request_id=name("attempt"),
    )


@st.composite
def any_pair(draw: st.DrawFn, number: int) -> tuple[BookedCall | None, UsageRecord | None]:
    """A call, its record around the same time, or one of them only."""
    at_ms = draw(TIMES)
    charged_ms = min(max(at_ms + draw(st.integers(-DAY_MS // 2, DAY_MS // 2)), SPAN.start_ms), SPAN.end_ms - 1)
    call = booked_call(
        number, draw(st.none() | AMOUNTS), cost_status=draw(STATUSES), produced_at_ms=at_ms, started_at_ms=at_ms
    )
    record = usage_record(number, draw(AMOUNTS), at_ms=charged_ms)
    return (call if draw(st.booleans()) else None), (record if draw(st.booleans()) else None)


calls = st.lists(any_call(), unique_by=lambda call: call.attempt_id)
records = st.lists(any_record(), unique=True)
pairs = st.integers(0, 5).flatmap(lambda count: st.tuples(*(any_pair(number) for number in range(count))))
orders = st.tuples(st.lists(st.sampled_from(DAYS), max_size=5), st.permutations(DAYS)).map(
    lambda two: [*two[0], *two[1]]
)


@given(calls, records, orders, st.permutations(DAYS))
def test_days_in_any_order_and_again_with_one_export_come_to_what_the_whole_span_does(
    calls: list[BookedCall], records: list[UsageRecord], order: list[Period], again: list[Period]
) -> None:
    whole, daily = Books(calls), Books(calls)
    whole.compare(records, SPAN)
    for day in order:
        daily.compare(records, day)
    assert daily.amounts == whole.amounts
    assert [daily.compare(records, day) for day in again] == [(), (), ()]
    assert daily.compare(records, SPAN) == ()


@given(pairs, orders, st.permutations(DAYS))
def test_days_with_an_export_each_come_to_the_same(
    pairs: tuple[tuple[BookedCall | None, UsageRecord | None], ...], order: list[Period], again: list[Period]
) -> None:
    calls = [call for call, _ in pairs if call is not None]
    records = [record for _, record in pairs if record is not None]
    whole, daily = Books(calls), Books(calls)

    def compare(day: Period) -> tuple[Adjustment, ...]:
        return daily.compare([record for record in records if record.at_ms in day], day)

    whole.compare(records, SPAN)
    for day in order:
        compare(day)
    assert daily.amounts == whole.amounts
    assert [compare(day) for day in again] == [(), (), ()]


def test_a_call_that_its_record_puts_into_the_next_day_is_left_to_that_days_comparison() -> None:
    midnight_ms = DAYS[1].start_ms
    late = booked_call(1, "0.002", cost_status="estimated", started_at_ms=midnight_ms - 1)
    books = Books([late])
    record = usage_record(1, "0.003", at_ms=midnight_ms)
    books.compare([], DAYS[0])
    assert books.amounts == {"attempt-1": Decimal(0)}
    books.compare([record], DAYS[1])
    assert books.compare([], DAYS[0]) == ()
    assert books.amounts == {"attempt-1": Decimal("0.003")}
    books.compare([], DAYS[1])  # the provider took it back
    assert books.amounts == {"attempt-1": Decimal(0)}


def test_a_guess_that_the_next_day_confirmed_is_not_taken_for_a_call_that_was_not_charged() -> None:
    midnight_ms = DAYS[1].start_ms
    books = Books([booked_call(1, "0.002", cost_status="estimated", started_at_ms=midnight_ms - 1)])
    books.compare([usage_record(1, "0.002", at_ms=midnight_ms)], DAYS[1])
    assert books.compare([], DAYS[0]) == ()
    assert books.amounts == {"attempt-1": Decimal("0.002")}


def test_two_accounts_of_one_provider_leave_each_others_strays_alone() -> None:
    books = Books([])
    eu, us = (usage_record(number, "0.5", client_request_id=None, at_ms=STARTED_AT_MS) for number in (1, 2))
    for records, deployments in (([eu], ("eu",)), ([us], ("us-1", "us-2"))):
        (written,) = books.compare(records, SPAN, *deployments)
        assert written.deployment == "+".join(deployments)
    assert books.compare([eu], SPAN, "eu") == books.compare([us], SPAN, "us-2", "us-1") == ()
    (withdrawn,) = books.compare([], SPAN, "us-1", "us-2")
    assert (withdrawn.provider_request_id, withdrawn.is_withdrawn) == ("req-2", True)
    assert sum(usd or 0 for usd in books.amounts.values()) == Decimal("0.5")


def test_a_comparison_of_all_deployments_has_the_last_word_on_every_accounts_strays() -> None:
    books = Books([])
    books.compare([usage_record(1, "0.5", client_request_id=None, at_ms=STARTED_AT_MS)], SPAN, "eu")
    assert [each.is_withdrawn for each in books.compare([], SPAN)] == [True]


def test_a_charge_that_was_booked_before_the_accounts_were_told_apart_is_not_booked_twice() -> None:
    books = Books([])
    record = usage_record(1, "0.5", client_request_id=None, at_ms=STARTED_AT_MS)
    books.compare([record], SPAN)
    books.compare([record], SPAN, "eu")
    assert list(books.amounts.values()) == [Decimal("0.5")]
