"""What the workers may ask of a deployment adds up to what it allows, whoever holds which partitions."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.invoke.share import WHOLE, Share


def by_range(partitions: int, workers: int) -> list[Share]:
    """As the range assignor divides them: the first workers have one more where they do not divide evenly."""
    each, more = divmod(partitions, workers)

    def held() -> Iterator[frozenset[int]]:
        start = 0
        for worker in range(workers):
            end = start + each + (worker < more)
            yield frozenset(range(start, end))
            start = end

    return [Share(mine, partitions) for mine in held()]


def test_whoever_holds_nothing_may_ask_nothing() -> None:
    assert Share(frozenset(), 8).places(100) == 0


def test_whoever_holds_all_has_the_whole() -> None:
    assert WHOLE.places(7) == 7
    assert Share(frozenset(range(8)), 8).places(7) == 7


@given(partitions=st.integers(1, 64), places=st.integers(1, 500), data=st.data())
def test_places_add_up_to_the_whole_whoever_holds_which(partitions: int, places: int, data: st.DataObject) -> None:
    owners = data.draw(st.lists(st.integers(0, 7), min_size=partitions, max_size=partitions))
    shares = [Share(frozenset(p for p, owner in enumerate(owners) if owner == w), partitions) for w in set(owners)]

    given_out = [share.places(places) for share in shares]

    assert all(each >= 1 for each in given_out)
    if places >= partitions:
        assert sum(given_out) == places


@given(partitions=st.integers(1, 64), places=st.integers(1, 500), data=st.data())
def test_there_are_never_more_calls_at_once_than_places_or_else_workers(
    partitions: int, places: int, data: st.DataObject
) -> None:
    workers = data.draw(st.integers(1, partitions))

    total = sum(share.places(places) for share in by_range(partitions, workers))

    assert places <= total <= places + max(workers - 1, 0)
    assert total == places or any(share.parts * places < partitions for share in by_range(partitions, workers))


@pytest.mark.parametrize(("partitions", "workers"), [(8, 1), (8, 3), (8, 8), (12, 5), (50, 7)])
@pytest.mark.parametrize("burst_s", [1, 10, 60])
def test_rates_and_bursts_of_all_workers_fit_into_one_minutes_limit(
    partitions: int, workers: int, burst_s: int
) -> None:
    rates = [share.rate(6_000, burst_s) for share in by_range(partitions, workers)]

    in_a_minute = sum(rate.burst + 60_000_000 * rate.units / rate.period_us for rate in rates)

    assert in_a_minute <= 6_000
    assert in_a_minute > 6_000 - workers
