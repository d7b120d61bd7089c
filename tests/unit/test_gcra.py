"""A rate limit whose whole memory is one point in time: never too much in any window, always a truthful wait."""

from dataclasses import dataclass

from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams.gcra import MINUTE_US, Fits, Rate, TooLarge, TooSoon, meter, settle

NOW_US = 1_795_000_000_000_000

rates = st.builds(Rate, units=st.integers(1, 10**9), burst=st.integers(1, 10**7))
events = st.lists(st.tuples(st.integers(0, 2 * MINUTE_US), st.integers(1, 50)), max_size=40)


@dataclass(frozen=True, slots=True)
class Passed:
    at_us: int
    units: int


def play(rate: Rate, gaps_and_units: list[tuple[int, int]]) -> list[Passed]:
    """Those that were let through."""
    passed: list[Passed] = []
    arrival_us, at_us = None, NOW_US
    for gap_us, units in gaps_and_units:
        at_us += gap_us
        result = meter(rate, arrival_us, at_us, units)
        if isinstance(result, Fits):
            arrival_us = result.arrival_us
            passed.append(Passed(at_us, units))
    return passed


@settings(deadline=None)
@given(rate=rates, happened=events)
@example(rate=Rate(60, 2), happened=[(0, 1)] * 5)
@example(rate=Rate(40_000_000, 3), happened=[(0, 2), (1, 2)])
def test_no_window_lets_more_through_than_the_burst_and_what_its_time_allows(
    rate: Rate, happened: list[tuple[int, int]]
) -> None:
    passed = play(rate, happened)

    for first in range(len(passed)):
        units = 0
        for last in range(first, len(passed)):
            units += passed[last].units
            window_us = passed[last].at_us - passed[first].at_us
            # one microsecond more than the window: times are whole microseconds
            assert (units - rate.burst) * MINUTE_US <= (window_us + 1) * rate.units


@settings(deadline=None)
@given(rate=rates, happened=events)
def test_the_same_events_are_decided_the_same_again(rate: Rate, happened: list[tuple[int, int]]) -> None:
    assert play(rate, happened) == play(rate, happened)


@settings(deadline=None)
@given(rate=rates, data=st.data(), beyond_us=st.integers(1, 10**12))
def test_who_waits_exactly_as_long_as_told_fits(rate: Rate, data: st.DataObject, beyond_us: int) -> None:
    units = data.draw(st.integers(1, rate.burst))
    arrival_us = NOW_US + rate.span_us(rate.burst) - rate.span_us(units) + beyond_us

    assert meter(rate, arrival_us, NOW_US, units) == TooSoon(beyond_us)
    assert isinstance(meter(rate, arrival_us, NOW_US + beyond_us, units), Fits)
    assert meter(rate, arrival_us, NOW_US + beyond_us - 1, units) == TooSoon(1)


@settings(deadline=None)
@given(rate=rates, arrival_us=st.none() | st.integers(0, NOW_US))
def test_a_rested_meter_takes_the_whole_burst_at_once_and_never_more(rate: Rate, arrival_us: int | None) -> None:
    assert isinstance(meter(rate, arrival_us, NOW_US, rate.burst), Fits)
    assert meter(rate, arrival_us, NOW_US, rate.burst + 1) == TooLarge(rate.burst)


@settings(deadline=None)
@given(rate=rates, arrival_us=st.none() | st.integers(NOW_US - 10**9, NOW_US + 10**9), units=st.integers(0, 10**6))
def test_the_meter_never_turns_back(rate: Rate, arrival_us: int | None, units: int) -> None:
    result = meter(rate, arrival_us, NOW_US, units)

    if isinstance(result, Fits):
        assert result.arrival_us >= max(NOW_US, arrival_us or 0)


def test_sixty_a_minute_with_a_burst_of_two_is_two_at_once_and_then_one_a_second() -> None:
    rate = Rate(units=60, burst=2)

    passed = play(rate, [(0, 1), (0, 1), (0, 1), (999_999, 1), (1, 1), (0, 1), (1_000_000, 1)])

    assert [event.at_us - NOW_US for event in passed] == [0, 0, 1_000_000, 2_000_000]


def test_a_time_before_the_last_one_is_no_credit() -> None:
    rate = Rate(units=60, burst=1)
    first = meter(rate, None, NOW_US, 1)
    assert isinstance(first, Fits)

    assert meter(rate, first.arrival_us, NOW_US - 5_000_000, 1) == TooSoon(6_000_000)


@settings(deadline=None)
@given(rate=rates, held=st.integers(0, 10**6), used=st.lists(st.integers(0, 10**6), min_size=1, max_size=6))
def test_settling_in_parts_comes_to_the_same_as_settling_at_once(rate: Rate, held: int, used: list[int]) -> None:
    reserved_us = NOW_US + rate.span_us(held)
    in_parts = settle(rate, reserved_us, used[0] - held, reserved_us, NOW_US)
    for more in used[1:]:
        in_parts = settle(rate, in_parts, more, 0, NOW_US)

    difference_us = in_parts - settle(rate, reserved_us, sum(used) - held, reserved_us, NOW_US)
    assert 0 <= difference_us <= len(used), "rounded by less than a microsecond each, and never in the user's favour"


@settings(deadline=None)
@given(rate=rates, held=st.integers(0, 10**6), used=st.integers(0, 10**6))
def test_what_was_held_and_settled_costs_no_less_than_what_was_used(rate: Rate, held: int, used: int) -> None:
    reserved_us = NOW_US + rate.span_us(held)

    settled_us = settle(rate, reserved_us, used - held, reserved_us, NOW_US)

    assert 0 <= settled_us - (NOW_US + rate.span_us(used)) <= 1


@settings(deadline=None)
@given(rate=rates, data=st.data(), before=events, after=events)
def test_however_late_a_request_is_settled_others_are_given_no_more_than_if_its_use_had_been_known(
    rate: Rate, data: st.DataObject, before: list[tuple[int, int]], after: list[tuple[int, int]]
) -> None:
    """A settlement an hour late gave back room that had gone by, and whole bursts went through side by side."""
    at_us, arrival_us = NOW_US, NOW_US

    def pass_through(gaps_and_units: list[tuple[int, int]], *starts_us: int) -> list[int]:
        """Where the same units take each meter, all at the same times."""
        nonlocal at_us
        moved = list(starts_us)
        for gap_us, units in gaps_and_units:
            at_us += gap_us
            moved = [max(at_us, start_us) + rate.span_us(units) for start_us in moved]
        return moved

    (arrival_us,) = pass_through(before, arrival_us)
    held = data.draw(st.integers(0, rate.burst), label="held")
    used = data.draw(st.integers(0, held), label="used")
    start_us = max(at_us, arrival_us)
    held_until_us = start_us + rate.span_us(held)
    ours_us, foreseen_us = pass_through(after, held_until_us, start_us + rate.span_us(used))

    settled_us = settle(rate, ours_us, used - held, held_until_us, at_us)

    assert max(at_us, settled_us) >= max(at_us, foreseen_us)
