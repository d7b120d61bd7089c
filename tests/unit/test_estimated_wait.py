"""The wait that is published is the backlog at the rate at which requests have been ending."""

import math

import pytest

from streams.invoke.estimate import WINDOW_MS, Ends, wait_s
from tests.unit.examples import NOW_MS


def ends(times: int) -> Ends:
    counted = Ends(NOW_MS)
    for _ in range(times):
        counted.ended()
    return counted


@pytest.mark.parametrize(("waiting", "per_s", "wait"), [(0, None, 0), (0, 0.0, 0), (30, 10.0, 3), (30, 0.5, 60)])
def test_those_before_it_at_the_rate_of_ends(waiting: int, per_s: float | None, wait: float) -> None:
    assert wait_s(waiting, per_s) == wait


@pytest.mark.parametrize("per_s", [None, 0.0])
def test_where_requests_wait_and_none_ends_nobody_can_say(per_s: float | None) -> None:
    assert wait_s(1, per_s) == math.inf


def test_the_rate_is_that_of_the_last_minute() -> None:
    counted = ends(100)

    assert counted.per_s(NOW_MS + 10_000) == 10
    assert counted.per_s(NOW_MS + 50_000) == 2
    assert counted.per_s(NOW_MS + 10_000 + WINDOW_MS) == 0


def test_before_any_time_has_passed_there_is_no_rate() -> None:
    assert ends(5).per_s(NOW_MS) is None
