"""Who is next: the most urgent, in order of arrival, and now and then whoever has waited the longest."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.request import Priority
from streams.invoke.line import ONE_IN, Line

LANES: st.SearchStrategy[Priority] = st.sampled_from(("high", "normal", "low"))


def served(line: Line[str]) -> list[str]:
    found: list[str] = []
    while line:
        first = line.first()
        assert line.pop() == first
        found.append(first)
    return found


def test_the_most_urgent_lane_goes_first() -> None:
    line = Line[str]()
    line.add("low", "l")
    line.add("normal", "n")
    line.add("high", "h")

    assert served(line) == ["h", "n", "l"]


def test_a_flood_of_urgent_ones_leaves_every_fifth_turn_to_whoever_has_waited_longest() -> None:
    line = Line[str]()
    line.add("low", "l-1")
    line.add("low", "l-2")
    for number in range(20):
        line.add("high", f"h-{number}")

    order = served(line)

    assert order.index("l-1") == ONE_IN - 1
    assert order.index("l-2") == 2 * ONE_IN - 1


def test_whoever_has_gone_has_had_no_turn() -> None:
    line = Line[str]()
    line.add("low", "l")
    for number in range(8):
        line.add("high", f"h-{number}")

    dropped = [line.drop() for _ in range(3)]

    assert dropped == ["h-0", "h-1", "h-2"]
    assert served(line).index("l") == ONE_IN - 1


@given(st.lists(LANES, max_size=60))
def test_nobody_is_lost_and_within_a_lane_nobody_overtakes(lanes: list[Priority]) -> None:
    line = Line[tuple[Priority, int]]()
    for number, lane in enumerate(lanes):
        line.add(lane, (lane, number))
    order: list[tuple[Priority, int]] = []
    while line:
        order.append(line.pop())

    assert sorted(number for _, number in order) == list(range(len(lanes)))
    for lane in ("high", "normal", "low"):
        mine = [number for each, number in order if each == lane]
        assert mine == sorted(mine)


def test_who_has_gone_is_forgotten_wherever_it_stands_and_the_others_keep_their_order() -> None:
    line: Line[int] = Line()
    for number in range(6):
        line.add("low" if number % 2 else "high", number)

    line.forget(lambda number: number in {1, 2})

    assert (len(line), [line.pop() for _ in range(4)]) == (4, [0, 4, 3, 5])
    assert not line
