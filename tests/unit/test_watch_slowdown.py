"""After a 429 the fleet asks half as much at once and finds back a step at a time; what it may ask is never nothing."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from schemas.control import Slowdown
from streams.watch.health import Bucket
from streams.watch.slowdown import (
    HEEDED_MS,
    LASTS_MS,
    STEP_MS,
    STEPS,
    after_refusal,
    after_time,
    answered_per_minute,
    is_due,
    is_overrun,
)
from tests.unit.examples import NOW_MS


def cut(per_minute: int = 600, now_ms: int = NOW_MS) -> Slowdown:
    found = after_refusal(None, "openai-1", per_minute, now_ms, now_ms)
    assert found is not None
    return found


def stepped(slowdown: Slowdown, times: int) -> list[Slowdown]:
    found = [slowdown]
    for _ in range(times):
        found.append(after_time(found[-1], found[-1].until_ms - LASTS_MS + STEP_MS))
    return found[1:]


def test_the_first_429_halves_what_was_answered() -> None:
    first = cut(600)

    assert (first.requests_per_minute, first.goal_per_minute) == (300, 600)
    assert first.until_ms == NOW_MS + LASTS_MS


def test_429s_of_calls_begun_before_the_cut_was_heard_of_say_nothing_new() -> None:
    first = cut()

    assert after_refusal(first, "openai-1", 600, NOW_MS + HEEDED_MS - 1, NOW_MS + 9_000) is first


def test_a_429_to_a_call_begun_after_it_halves_again_what_is_answered_and_the_goal_stays() -> None:
    again = after_refusal(cut(), "openai-1", 250, NOW_MS + HEEDED_MS, NOW_MS + 3_000)

    assert again is not None
    assert (again.requests_per_minute, again.goal_per_minute) == (125, 600)


def test_it_finds_back_in_steps_and_is_over_when_it_has() -> None:
    *steps, last = stepped(cut(600), STEPS)

    assert [each.requests_per_minute for each in steps] == [360, 420, 480, 540]
    assert last.requests_per_minute == 600
    assert last.until_ms == steps[-1].until_ms - LASTS_MS + STEP_MS, "it is over at once"
    assert not is_due(last, last.until_ms + STEP_MS)


def test_there_is_no_step_before_its_time() -> None:
    first = cut()

    assert after_time(first, NOW_MS + STEP_MS - 1) is first


def test_after_it_is_over_the_next_429_begins_with_what_is_answered_then() -> None:
    over = cut()

    anew = after_refusal(over, "openai-1", 100, over.until_ms, over.until_ms)

    assert anew is not None
    assert (anew.requests_per_minute, anew.goal_per_minute) == (50, 100)


@pytest.mark.parametrize("per_minute", [1, 2, 3])
def test_even_the_slowest_pace_is_one(per_minute: int) -> None:
    assert cut(per_minute).requests_per_minute == 1


def buckets(*answered: int) -> Iterable[Bucket]:
    return [Bucket(calls=each + 3, failures=3, limited=50) for each in answered]


def test_the_pace_is_that_of_the_busiest_bucket_and_counts_answers_only() -> None:
    assert answered_per_minute([*buckets(0, 50, 10), Bucket()], bucket_s=5) == 600
    assert answered_per_minute([Bucket()], bucket_s=5) == 1


@pytest.mark.parametrize(
    ("calls", "limited", "is_one"),
    [(0, 0, False), (0, 2, False), (0, 3, True), (6, 3, True), (7, 3, False), (490, 10, False), (50, 50, True)],
)
def test_a_few_429s_among_many_answers_slow_nobody_down(calls: int, limited: int, is_one: bool) -> None:  # a case
    assert is_overrun([Bucket(calls=calls, limited=limited)]) is is_one
    assert is_overrun([Bucket(), Bucket(calls=calls, limited=limited)]) is is_one


class SlowdownMachine(RuleBasedStateMachine):
    """A fleet that asks as fast as it may, and a provider whose limit it does not know, and that may change."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = NOW_MS
        self.allowed = 600
        self.wanted = 1_000
        self.slowdown: Slowdown | None = None
        self.last_cut_ms = 0

    @property
    def pace(self) -> int:
        if self.slowdown is None or self.now_ms >= self.slowdown.until_ms:
            return self.wanted
        return min(self.wanted, self.slowdown.requests_per_minute)

    @rule(allowed=st.integers(1, 5_000), wanted=st.integers(1, 5_000))
    def the_world_changes(self, allowed: int, wanted: int) -> None:
        self.allowed, self.wanted = allowed, wanted

    @rule(milliseconds=st.integers(1, 10_000))
    def time_passes(self, milliseconds: int) -> None:
        self.now_ms += milliseconds
        if self.slowdown is not None:
            self.slowdown = after_time(self.slowdown, self.now_ms)

    @rule(since_ms=st.integers(0, 5_000))
    def a_call_is_refused(self, since_ms: int) -> None:
        before = self.pace
        if before <= self.allowed:
            return
        answered = min(before, self.allowed)
        after = after_refusal(self.slowdown, "openai-1", answered, self.now_ms - since_ms, self.now_ms)
        if after is not self.slowdown:
            assert after is not None
            assert after.requests_per_minute <= max(1, before // 2)
            assert self.now_ms - self.last_cut_ms >= HEEDED_MS
            self.last_cut_ms = self.now_ms
        self.slowdown = after

    @invariant()
    def something_is_always_asked_and_never_for_ever_less(self) -> None:
        assert self.pace >= 1
        if self.slowdown is not None:
            assert self.slowdown.requests_per_minute <= self.slowdown.goal_per_minute
            assert self.slowdown.until_ms <= self.now_ms + LASTS_MS

    @invariant()
    def without_further_429s_it_is_over_within_a_minute(self) -> None:
        slowdown, now_ms = self.slowdown, self.now_ms
        if slowdown is None:
            return
        for _ in range(2 * STEPS):
            now_ms += STEP_MS
            slowdown = after_time(slowdown, now_ms)
        assert slowdown.until_ms <= now_ms


TestSlowdownMachine = SlowdownMachine.TestCase
TestSlowdownMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.integers(1, 10**6))
def test_from_half_it_is_back_in_a_handful_of_steps(per_minute: int) -> None:
    assert stepped(cut(per_minute), 2 * STEPS)[-1].requests_per_minute == max(1, per_minute)
