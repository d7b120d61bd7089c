"""The rows that spoil a batch are found, and only they are blamed."""

from hypothesis import given
from hypothesis import strategies as st

from sinks.bisection import refused
from sinks.protocol import Refusal


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
def test_every_bad_position_is_found_and_all_others_are_taken(size: int, bad: frozenset[int], offset: int) -> None:
    store = Store(frozenset(offset + position for position in bad))
    within = sorted(position for position in store.bad if offset <= position < offset + size)
    found = list(refused(offset, offset + size, store.attempt))
    assert found == [Refusal(position, f"position {position} is bad") for position in within]
    assert store.taken == set(range(offset, offset + size)) - store.bad
    assert store.attempts <= 2 * size


def test_a_good_batch_takes_one_attempt_and_a_single_bad_row_among_many_takes_few() -> None:
    good, spoiled = Store(frozenset()), Store(frozenset({777}))
    assert not list(refused(0, 20_000 // 2, good.attempt))
    assert len(list(refused(0, 1_024, spoiled.attempt))) == 1
    assert good.attempts == 1
    assert spoiled.attempts <= 2 * 10 + 1


def test_rows_that_are_only_refused_together_are_not_blamed() -> None:
    store = Store(frozenset(), largest=3)
    assert not list(refused(0, 20, store.attempt))
    assert store.taken == set(range(20))
