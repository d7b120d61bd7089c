"""The row that spoils a batch is found, and only that row is blamed."""

from hypothesis import given
from hypothesis import strategies as st

from sinks.bisection import Refusal, first_refused


class Store:
    """Takes a range whole or refuses it whole, because of single positions or because of its size."""

    def __init__(self, bad: frozenset[int], largest: int = 10_000) -> None:
        self.bad = bad
        self.largest = largest
        self.taken: set[int] = set()
        self.attempts = 0

    def attempt(self, start: int, stop: int) -> str | None:
        self.attempts += 1
        found = sorted(self.bad & set(range(start, stop)))
        if found:
            return f"position {found[0]} is bad"
        if stop - start > self.largest:
            return "too many at once"
        self.taken.update(range(start, stop))
        return None


@given(size=st.integers(1, 200), bad=st.frozensets(st.integers(0, 199)), offset=st.integers(0, 50))
def test_the_first_bad_position_is_found_and_everything_before_it_is_taken(
    size: int, bad: frozenset[int], offset: int
) -> None:
    store = Store(frozenset(offset + position for position in bad))
    within = sorted(position for position in store.bad if offset <= position < offset + size)
    refusal = first_refused(offset, offset + size, store.attempt)
    if within:
        assert refusal == Refusal(within[0], f"position {within[0]} is bad")
        assert set(range(offset, within[0])) <= store.taken
    else:
        assert refusal is None
        assert store.taken == set(range(offset, offset + size))


def test_a_good_batch_takes_one_attempt_and_a_single_bad_row_among_many_takes_few() -> None:
    good, spoiled = Store(frozenset()), Store(frozenset({777}))
    first_refused(0, 20_000 // 2, good.attempt)
    first_refused(0, 1_024, spoiled.attempt)
    assert good.attempts == 1
    assert spoiled.attempts <= 2 * 10 + 1


def test_rows_that_are_only_refused_together_are_not_blamed() -> None:
    store = Store(frozenset(), largest=3)
    assert first_refused(0, 20, store.attempt) is None
    assert store.taken == set(range(20))
