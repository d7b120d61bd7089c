"""The committed offset never passes an unfinished event, never goes back, and does not mind gaps."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streams.runtime.frontier import Frontier


def frontier(*offsets: int) -> Frontier:
    made = Frontier()
    for offset in offsets:
        made.take(offset)
    return made


class Partition(RuleBasedStateMachine):
    """Events are taken in order, with gaps, and finished in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.frontier = Frontier()
        self.taken: list[int] = []
        self.open: list[int] = []
        self.furthest = -1

    @rule(gap=st.integers(1, 5))
    def take(self, gap: int) -> None:
        offset = (self.taken[-1] if self.taken else 41) + gap
        self.frontier.take(offset)
        self.taken.append(offset)
        self.open.append(offset)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(self.open))
        self.open.remove(offset)
        self.frontier.finish(offset)

    @invariant()
    def nothing_unfinished_is_behind_it(self) -> None:
        offset = self.frontier.next_offset
        assert offset is None or all(offset <= unfinished for unfinished in self.open)

    @invariant()
    def it_is_as_far_as_it_may_be(self) -> None:
        done = [offset for offset in self.taken if not self.open or offset < self.open[0]]
        assert self.frontier.next_offset == (done[-1] + 1 if done else None)

    @invariant()
    def it_never_goes_back(self) -> None:
        offset = -1 if self.frontier.next_offset is None else self.frontier.next_offset
        assert offset >= self.furthest
        self.furthest = offset

    @invariant()
    def it_counts_what_is_open_and_what_a_crash_would_repeat(self) -> None:
        assert self.frontier.unfinished == len(self.open)
        behind = [offset for offset in self.taken if self.open and offset >= self.open[0]]
        assert self.frontier.span == len(behind)


TestPartition = Partition.TestCase
TestPartition.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_nothing_may_be_committed_before_the_first_event_is_finished() -> None:
    held_up = frontier(5, 6, 7)

    held_up.finish(6)
    held_up.finish(7)

    assert held_up.next_offset is None
    assert (held_up.unfinished, held_up.span) == (1, 3)


def test_the_slow_head_releases_everything_behind_it_at_once() -> None:
    released = frontier(5, 6, 7)

    for offset in (7, 6, 5):
        released.finish(offset)

    assert released.next_offset == 8
    assert (released.unfinished, released.span) == (0, 0)


def test_offsets_that_compaction_or_transactions_left_out_do_not_hold_it_up() -> None:
    gapped = frontier(3, 900, 1_000_000)

    gapped.finish(3)
    gapped.finish(900)

    assert gapped.next_offset == 901


@pytest.mark.parametrize("offset", [4, 5, 6])
def test_an_offset_delivered_again_is_a_bug_and_not_a_second_event(offset: int) -> None:
    half_done = frontier(5, 6)
    half_done.finish(5)

    with pytest.raises(ValueError, match="after a later one"):
        half_done.take(offset)
