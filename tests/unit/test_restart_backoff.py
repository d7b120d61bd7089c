"""How long a process that died waits before it is started again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.stack.backoff import Backoff

BACKOFF = Backoff(first_s=0.5, factor=2, cap_s=10, forgive_after_s=30)


def test_each_death_in_a_row_doubles_the_wait_up_to_the_cap() -> None:
    assert [BACKOFF.delay_s(deaths) for deaths in range(1, 8)] == [0.5, 1, 2, 4, 8, 10, 10]


@given(st.integers(min_value=1, max_value=10**9))
def test_no_number_of_deaths_waits_longer_than_the_cap(deaths: int) -> None:
    assert 0.5 <= BACKOFF.delay_s(deaths) <= 10


def test_deaths_soon_after_a_start_add_up() -> None:
    assert BACKOFF.deaths(0, ran_s=1) == 1
    assert BACKOFF.deaths(4, ran_s=29.9) == 5


def test_a_process_that_ran_long_enough_starts_over() -> None:
    assert BACKOFF.deaths(4, ran_s=30) == 1


@pytest.mark.parametrize(("first_s", "factor", "cap_s"), [(0, 2, 1), (2, 2, 1), (1, 0.5, 10)])
def test_a_backoff_that_would_not_back_off_is_refused(first_s: float, factor: float, cap_s: float) -> None:
    with pytest.raises(ValueError, match="never shrinks"):
        Backoff(first_s=first_s, factor=factor, cap_s=cap_s)
