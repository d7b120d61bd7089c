"""A flood in one lane leaves the others their places, and the urgent are looked after first."""

from typing import get_args

import pytest

from schemas.request import Priority
from streams.invoke.lanes import IN_ORDER, WAITING_PER_PLACE, Lanes

PRIORITIES: tuple[Priority, ...] = get_args(Priority)


def lanes(high: int = 2, normal: int = 2, low: int = 1) -> Lanes:
    return Lanes({"high": high, "normal": normal, "low": low})


def open_lanes(pool: Lanes) -> list[Priority]:
    return [each for each in IN_ORDER if pool.room(each)]


def test_the_lanes_with_room_are_named_the_most_urgent_first() -> None:
    assert open_lanes(lanes()) == ["high", "normal", "low"]


def test_every_priority_has_a_lane() -> None:
    assert set(IN_ORDER) == set(PRIORITIES)


@pytest.mark.parametrize("flooded", PRIORITIES)
def test_a_full_lane_takes_no_more_and_leaves_the_others_as_they_were(flooded: Priority) -> None:
    pool = lanes()
    others: dict[Priority, int] = {each: pool.room(each) for each in PRIORITIES if each != flooded}
    for _ in range(pool.room(flooded)):
        pool.enter(flooded)

    assert pool.room(flooded) == 0
    assert flooded not in open_lanes(pool)
    assert {each: pool.room(each) for each in others} == others


def test_a_call_that_ends_gives_its_place_back() -> None:
    pool = lanes(low=1)
    pool.enter("low")
    assert open_lanes(pool) == ["high", "normal"]

    pool.leave("low")

    assert open_lanes(pool) == ["high", "normal", "low"]
    assert dict(pool.counts()) == {"high": 0, "normal": 0, "low": 0}


def test_what_is_under_way_is_counted_by_lane() -> None:
    pool = lanes()
    for priority in ("high", "normal", "normal"):
        pool.enter(priority)

    assert dict(pool.counts()) == {"high": 1, "normal": 2, "low": 0}


def test_who_only_waits_leaves_its_place_to_another() -> None:
    pool = lanes(low=1)
    pool.enter("low")

    pool.step_aside("low", "openai-1")

    assert pool.room("low") == 1
    assert dict(pool.counts())["low"] == 1
    pool.enter("low")
    pool.come_back("low", "openai-1")
    assert pool.room("low") == 0
    pool.leave("low")
    assert pool.room("low") == 0
    pool.leave("low")
    assert pool.room("low") == 1


def test_no_more_wait_beside_a_lane_than_its_size_allows() -> None:
    pool = lanes(normal=2)
    taken = 0
    while pool.room("normal"):
        pool.enter("normal")
        pool.step_aside("normal", "openai-1")
        taken += 1

    assert taken == 2 * (1 + WAITING_PER_PLACE)
    assert open_lanes(pool) == ["high", "low"]
