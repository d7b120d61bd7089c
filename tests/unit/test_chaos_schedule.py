"""What goes wrong in a run is drawn from its seed, covers what there is, and leaves the system time to recover."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.chaos.faults.choice import MAKERS, MAKERS_OF_BROKERS
from scripts.chaos.kinds import KINDS, LANES, OPTIONS, Option, chosen
from scripts.chaos.plan import RunPlan
from scripts.chaos.schedule import BROKERS, CALM_AFTER_S, CALM_BEFORE_S, LASTS_S, Planned, schedule

SEEDS = st.integers(min_value=0, max_value=2**31)
MINUTES = st.floats(min_value=0.75, max_value=12, allow_nan=False)
FAULTS = st.sets(st.sampled_from(sorted(OPTIONS)), min_size=1).map(frozenset)
DOWN = ("kill", "term", "freeze", "disk", "two-brokers")
BETWEEN_BROKERS_S = 12.0


def lane(planned: tuple[Planned, ...], name: str) -> list[Planned]:
    return [each for each in planned if each.lane == name]


@given(SEEDS, MINUTES, FAULTS)
def test_the_same_seed_draws_the_same_faults(seed: int, minutes: float, faults: frozenset[Option]) -> None:
    assert schedule(seed, minutes, faults) == schedule(seed, minutes, faults)


def test_another_seed_draws_others() -> None:
    assert schedule(1, 2, OPTIONS) != schedule(2, 2, OPTIONS)


@given(SEEDS, MINUTES, FAULTS)
def test_there_is_a_calm_before_the_first_fault_and_after_the_last_is_healed(
    seed: int, minutes: float, faults: frozenset[Option]
) -> None:
    for each in schedule(seed, minutes, faults):
        assert each.at_s >= CALM_BEFORE_S
        assert each.until_s <= minutes * 60 - CALM_AFTER_S


@given(SEEDS, MINUTES, FAULTS)
def test_only_what_was_chosen_happens_in_order_and_by_number(
    seed: int, minutes: float, faults: frozenset[Option]
) -> None:
    planned = schedule(seed, minutes, faults)
    assert {Option(each.kind, each.part) for each in planned} <= faults
    assert [each.id for each in planned] == list(range(1, len(planned) + 1))
    assert all(one.at_s <= next_.at_s for one, next_ in pairwise(planned))


@given(SEEDS, MINUTES)
def test_faults_of_a_lane_follow_each_other(seed: int, minutes: float) -> None:
    planned = schedule(seed, minutes, OPTIONS)
    for name in LANES:
        assert all(one.until_s < next_.at_s for one, next_ in pairwise(lane(planned, name)))


@given(SEEDS, MINUTES)
def test_a_process_has_one_fault_at_a_time(seed: int, minutes: float) -> None:
    by_target: dict[str, list[Planned]] = {}
    for each in schedule(seed, minutes, OPTIONS):
        if each.kind in DOWN:
            by_target.setdefault(each.target, []).append(each)
    for planned in by_target.values():
        assert all(one.until_s < next_.at_s for one, next_ in pairwise(planned))


@given(SEEDS, MINUTES)
def test_a_broker_is_given_time_to_catch_up_before_the_next_one_goes(seed: int, minutes: float) -> None:
    brokers = [each for each in lane(schedule(seed, minutes, OPTIONS), "brokers") if each.part == "broker"]
    down = [each for each in brokers if each.kind in DOWN]
    assert all(one.until_s + BETWEEN_BROKERS_S <= next_.at_s for one, next_ in pairwise(down))


@given(SEEDS)
def test_two_minutes_hold_every_way_to_break_a_process(seed: int) -> None:
    kinds = {each.kind for each in schedule(seed, 2, OPTIONS)}
    assert {"kill", "term"} <= kinds
    assert len(kinds) >= 10


@given(SEEDS)
@settings(max_examples=20)
def test_ten_minutes_hold_every_kind_and_every_part(seed: int) -> None:
    planned = schedule(seed, 10, OPTIONS)
    assert {each.kind for each in planned} == set(KINDS)
    assert {each.part for each in planned} == {option.part for option in OPTIONS}
    pairs = Counter(Option(each.kind, each.part) for each in planned)
    assert len(pairs) >= 0.9 * len(OPTIONS)


@given(SEEDS)
def test_kinds_of_a_lane_take_turns(seed: int) -> None:
    planned = schedule(seed, 10, OPTIONS)
    for name, options in LANES.items():
        times = Counter(each.kind for each in lane(planned, name))
        counts = [times[kind] for kind in {option.kind for option in options}]
        assert max(counts) - min(counts) <= 1


@given(SEEDS)
def test_every_target_is_one_that_runs(seed: int) -> None:
    for each in schedule(seed, 10, OPTIONS):
        assert each.target == each.part or each.target.startswith(f"{each.part}-")
        if each.part == "broker":
            assert int(each.target.removeprefix("broker-")) in range(BROKERS)


def test_every_kind_has_a_length_and_somebody_who_does_it() -> None:
    assert set(LASTS_S) == set(KINDS)
    assert {option.kind for option in LANES["brokers"] if option.part == "broker"} == set(MAKERS_OF_BROKERS)
    others = {option for options in LANES.values() for option in options} - {
        option for option in LANES["brokers"] if option.part == "broker"
    }
    assert {option.kind for option in others} == set(MAKERS)


@pytest.mark.parametrize("minutes", [0.5, float("nan"), float("inf"), -1.0])
def test_a_run_that_cannot_be_so_long_is_refused(minutes: float) -> None:
    with pytest.raises(ValueError, match=r"at least 0\.75 minutes"):
        RunPlan(seed=1, minutes=minutes, rate=20)


@pytest.mark.parametrize("rate", [0.0, float("nan"), float("inf")])
def test_a_load_that_cannot_be_made_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="requests a second"):
        RunPlan(seed=1, minutes=2, rate=rate)


def test_a_run_in_which_nothing_would_be_broken_is_refused() -> None:
    faults = frozenset({Option("freeze", "invoke")})
    empty = next(seed for seed in range(1_000) if not schedule(seed, 0.75, faults))
    with pytest.raises(ValueError, match="none of these faults fits"):
        RunPlan(seed=empty, minutes=0.75, rate=20, faults=faults)


def test_faults_are_chosen_by_kind_or_by_kind_and_part() -> None:
    assert chosen("all") == chosen("") == OPTIONS
    assert chosen("freeze:invoke, cut") == {
        Option("freeze", "invoke"), Option("cut", "broker"), Option("cut", "clickhouse"), Option("cut", "simulator"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("explode", "there are cut, delay"), ("two-brokers:invoke", "two-brokers happens to broker"), ("kill,", "'' is")],
)
def test_what_is_no_fault_is_told_with_what_there_is(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        chosen(text)
