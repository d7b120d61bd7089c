"""Whoever is due comes, the one that is due for the longest first, and nobody who has gone."""

from hypothesis import given
from hypothesis import strategies as st

from streams.invoke.deadlines import Deadlines


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=300), st.integers(0, 50))
def test_all_that_are_due_and_have_not_gone_come_in_their_order(added: list[tuple[int, bool]], now_ms: int) -> None:
    deadlines = Deadlines[int]()
    numbers = [deadlines.add(deadline_ms, deadline_ms) for deadline_ms, _ in added]
    for number, (_, goes) in zip(numbers, added, strict=True):
        if goes:
            deadlines.discard(number)
    left = {number: ms for number, (ms, goes) in zip(numbers, added, strict=True) if not goes}

    came: list[int] = []
    while (due := deadlines.first_due(now_ms)) is not None:
        came.append(due)
        number = next(each for each, ms in left.items() if ms == due)
        del left[number]
        deadlines.discard(number)

    assert came == sorted(ms for ms, goes in added if not goes and ms <= now_ms)


def test_what_has_gone_long_before_its_deadline_takes_no_room() -> None:
    deadlines = Deadlines[str]()
    deadlines.add(10**9, "stays")
    for _ in range(10_000):
        deadlines.discard(deadlines.add(10**9, "goes"))

    assert len(deadlines) < 100
    assert deadlines.first_due(10**9) == "stays"
