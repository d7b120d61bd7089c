"""What was read must be committed in time, or the process starts over."""

from contextlib import suppress
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.watch.commits import Commits, CommitsStuckError

WITHIN_MS = 60_000


def test_a_place_that_was_lost_is_noticed_though_new_records_arrive() -> None:
    commits = Commits[str](WITHIN_MS)
    commits.look(0, {"calls/0": 9}, {"calls/0": 4})
    commits.look(WITHIN_MS, {"calls/0": 500}, {"calls/0": 4})

    with pytest.raises(CommitsStuckError, match="calls/0: what was read 60 s ago is not committed"):
        commits.look(WITHIN_MS + 1, {"calls/0": 900}, {"calls/0": 4})


def test_what_nothing_was_ever_committed_of_is_noticed() -> None:
    commits = Commits[str](WITHIN_MS)
    commits.look(0, {"calls/0": 9}, {})
    with pytest.raises(CommitsStuckError):
        commits.look(WITHIN_MS + 1, {"calls/0": 9}, {})


def test_one_record_a_second_of_two_hundred_is_too_slow() -> None:
    commits = Commits[str](WITHIN_MS)
    commits.look(0, {"calls/0": 199}, {"calls/0": 0})
    for second in range(61):
        commits.look(second * 1_000, {"calls/0": 199}, {"calls/0": second})
    with pytest.raises(CommitsStuckError):
        commits.look(61_000, {"calls/0": 199}, {"calls/0": 61})


def test_partitions_that_moved_begin_anew() -> None:
    commits = Commits[str](WITHIN_MS)
    commits.look(0, {"calls/0": 9}, {"calls/0": 4})
    commits.forget()
    commits.look(WITHIN_MS + 1, {"calls/0": 9}, {"calls/0": 4})


@dataclass(frozen=True, slots=True)
class Step:
    after_ms: int
    read: int
    behind: int


STEPS = st.lists(
    st.builds(Step, st.integers(1, WITHIN_MS // 2), st.integers(0, 1_000), st.integers(0, 1_000)), max_size=40
)


@given(STEPS)
def test_whoever_commits_all_that_was_read_half_the_time_ago_goes_on(steps: list[Step]) -> None:
    commits = Commits[int](WITHIN_MS)
    now_ms, last, before = 0, 0, 0
    for step in steps:
        now_ms, before, last = now_ms + step.after_ms, last, last + step.read
        commits.look(now_ms, {0: last}, {0: max(before + 1, last + 1 - step.behind)})


@given(st.lists(st.integers(1, WITHIN_MS), min_size=1, max_size=40))
def test_a_place_that_never_moves_is_noticed_at_the_first_look_after_the_time(pauses_ms: list[int]) -> None:
    commits = Commits[int](WITHIN_MS)
    commits.look(0, {0: 0}, {0: 0})
    commits.look(0, {0: 9}, {0: 0})
    now_ms = 0
    with suppress(CommitsStuckError):
        for pause_ms in pauses_ms:
            now_ms += pause_ms
            commits.look(now_ms, {0: 9}, {0: 0})
        assert now_ms <= WITHIN_MS
        return
    assert now_ms > WITHIN_MS
