"""What the bench makes of its rounds: medians, ratios within a round, and a verdict on a stage."""

import os
import subprocess
import sys
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.bench.baseline import Compared, UnfitBaseline, compare
from scripts.bench.cpu import ProcessGone, cpu_s
from scripts.bench.figure import Figure, by_round, figure, quantile
from scripts.bench.plan import FULL, QUICK, Plan
from scripts.bench.report import verdict_line


def test_a_figure_has_a_median_and_knows_how_far_its_rounds_lie_apart() -> None:
    found = Figure((5.0, 1.0, 2.0))
    assert (found.median, found.low, found.high, found.spread) == (2.0, 1.0, 5.0, 4.0)
    assert found.as_json()["rounds"] == [5.0, 1.0, 2.0]


def test_a_figure_without_rounds_is_none_and_never_nought() -> None:
    assert figure([]) is None
    assert by_round([], [1.0]) is None
    with pytest.raises(ValueError, match="round"):
        Figure(())


def test_a_ratio_is_taken_within_each_round() -> None:
    """The second round was twice as slow for both, which is no change of the ratio."""
    assert by_round([2.0, 4.0], [1.0, 2.0]) == Figure((2.0, 2.0))


def test_a_round_in_which_nothing_was_booked_has_no_ratio() -> None:
    assert by_round([2.0, 4.0], [0.0, 2.0]) == Figure((2.0,))


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.floats(0.01, 1))
def test_a_quantile_is_a_value_that_at_least_the_share_does_not_exceed(values: list[float], share: float) -> None:
    found = quantile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < share * len(values)


def test_of_nothing_there_is_no_quantile() -> None:
    with pytest.raises(ValueError, match="nothing"):
        quantile([], 0.5)


def test_cpu_is_what_the_process_itself_is_told() -> None:
    before_s = time.process_time()
    booked_s = cpu_s(os.getpid())
    assert before_s <= booked_s <= time.process_time()


def test_who_has_ended_has_no_cpu_any_more_and_not_none_used() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])  # our own words
    ended.wait()
    with pytest.raises(ProcessGone, match=str(ended.pid)):
        cpu_s(ended.pid)


def compared(before: tuple[float, ...], now: tuple[float, ...]) -> Compared:
    return Compared("validate", Figure(before), Figure(now))


def test_a_stage_is_slower_when_it_moved_by_more_than_its_rounds_lie_apart() -> None:
    assert compared((0.30, 0.31, 0.32), (0.40, 0.41, 0.42)).verdict == "slower"
    assert compared((0.40, 0.41, 0.42), (0.30, 0.31, 0.32)).verdict == "faster"


def test_a_move_within_the_spread_of_either_side_is_none() -> None:
    assert compared((0.20, 0.31, 0.42), (0.40, 0.41, 0.42)).verdict == "as before"
    assert compared((0.30, 0.31, 0.32), (0.20, 0.41, 0.42)).verdict == "as before"


def test_a_move_of_a_few_per_cent_is_none_however_steady_the_rounds_were() -> None:
    assert compared((0.300, 0.300), (0.312, 0.312)).verdict == "as before"


def result(plan: Plan, *shares: float) -> dict[str, Any]:
    stage = {"cpu_us": Figure(shares).as_json(), "to_floor": Figure(shares).as_json()}
    return {"plan": plan.model_dump(mode="json"), "stages": {"validate": stage}}


def test_the_line_names_each_stage_that_got_slower_and_by_how_much() -> None:
    found = compare(result(QUICK, 0.3, 0.31, 0.32), result(QUICK, 0.61, 0.62, 0.63))
    assert verdict_line(found) == "SLOWER than the baseline: validate +100%"
    assert verdict_line(compare(result(QUICK, 0.3), result(QUICK, 0.3))) == "no stage is slower than the baseline"


def test_runs_of_different_size_are_not_compared() -> None:
    with pytest.raises(UnfitBaseline, match="full run"):
        compare(result(FULL, 0.3), result(QUICK, 0.3))


def test_whether_litellm_was_there_changes_nothing() -> None:
    without = QUICK.model_copy(update={"requests": {k: v for k, v in QUICK.requests.items() if k != "litellm"}})
    assert compare(result(without, 0.3), result(QUICK, 0.3))
    assert compare(result(QUICK, 0.3), result(without, 0.3))


def test_a_stage_that_only_one_side_knows_is_left_out() -> None:
    before = result(QUICK, 0.3)
    before["stages"] = {}
    assert compare(before, result(QUICK, 0.3)) == []
