"""Vectors that come and go: the nearest is always the one that one by one would be found."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.flow import Meaning
from streams.semantic.likeness import Likeness
from tests.fakes.embedder import vector

ANGLES = [0.0, 0.1, 0.2, 0.35, 0.5, 1.2]


def meaning(angle: float, frame: str = "f", must: str = "m", order: str = "o", whose: str = "") -> Meaning:
    towards = vector(np.cos(angle), np.sin(angle))
    return Meaning(frame=frame, vector=towards, must=must, words="w", order=order, whose=whose)


def nearest(likeness: Likeness, asked: Meaning, threshold: float = 0.9) -> tuple[str | None, float | None]:
    found = likeness.nearest(asked, threshold, lambda entry: entry != "expired")
    return (None, None) if found is None else (found.entry, found.refused)


def test_the_most_similar_that_passes_is_found_and_what_was_more_similar_and_did_not_is_told() -> None:
    likeness = Likeness()
    for entry, made in (
        ("far", meaning(1.2)),
        ("expired", meaning(0.0)),
        ("denied", meaning(0.05, must="other")),
        ("near", meaning(0.2)),
        ("nearer", meaning(0.1)),
        ("elsewhere", meaning(0.0, frame="g")),
    ):
        likeness.add(entry, made)

    entry, refused = nearest(likeness, meaning(0.0))

    assert entry == "nearer"
    assert refused is not None
    assert refused > 0.99
    assert nearest(likeness, meaning(0.0), 0.998) == (None, refused)
    assert nearest(likeness, meaning(0.0, frame="nowhere")) == (None, None)


def test_mine_does_not_pass_beside_yours_and_passes_where_nobody_is_said() -> None:
    likeness = Likeness()
    likeness.add("mine", meaning(0.0, whose="mine"))

    assert nearest(likeness, meaning(0.0, whose="yours"))[0] is None
    assert nearest(likeness, meaning(0.0, whose="mine"))[0] == "mine"
    assert nearest(likeness, meaning(0.0))[0] == "mine"


def test_the_same_words_in_another_order_do_not_pass() -> None:
    likeness = Likeness()
    likeness.add("swapped", meaning(0.0, order="p"))

    entry, refused = nearest(likeness, meaning(0.0))

    assert (entry, refused is not None) == (None, True)


steps = st.lists(
    st.tuples(st.booleans(), st.integers(0, 8), st.sampled_from(ANGLES), st.sampled_from("fg")), max_size=60
)


@settings(deadline=None)
@given(steps)
def test_whatever_comes_and_goes_the_nearest_is_that_of_what_is_left(
    given_steps: list[tuple[bool, int, float, str]],
) -> None:
    likeness = Likeness()
    left: dict[str, Meaning] = {}
    for adds, number, angle, frame in given_steps:
        entry = str(number)
        if adds:
            left[entry] = meaning(angle, frame)
            likeness.add(entry, left[entry])
        else:
            left.pop(entry, None)
            likeness.drop(entry)
    for frame in "fg":
        asked = meaning(0.0, frame)
        close = {
            entry: float(np.cos(ANGLES[0] - _angle(made)))
            for entry, made in left.items()
            if made.frame == frame and np.cos(_angle(made)) >= 0.901
        }
        found = likeness.nearest(asked, 0.9, lambda _: True)
        assert (found is None) == (not close)
        if found is not None and found.entry is not None:
            assert close[found.entry] == max(close.values())


def _angle(made: Meaning) -> float:
    x, y = np.frombuffer(made.vector, dtype="<f2").astype(np.float64)
    return round(float(np.arctan2(y, x)), 2)
