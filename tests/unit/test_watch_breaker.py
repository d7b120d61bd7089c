"""A breaker opens on evidence, lets probes through after a while, and believes only calls begun since."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from schemas.control import Breaker
from streams.verdicts import Verdict
from streams.watch.breaker import Call, Judgement, Thresholds, after_calls, after_time, alert_on, untroubled
from streams.watch.health import Bucket

THRESHOLDS = Thresholds(min_calls=10, failure_share=0.5, open_ms=30_000)
NOW_MS = 1_795_000_000_000
MS = st.none() | st.integers(0, 60_000)


def bucket(calls: int, failures: int) -> Bucket:
    return Bucket(calls=calls, failures=failures, latencies={40: calls})


def call(verdict: Verdict, started_at_ms: int = NOW_MS) -> Call:
    return Call(verdict, started_at_ms, provider_ms=50)


def after_call(before: Breaker, seen: Call, buckets: list[Bucket], now_ms: int, thresholds: Thresholds) -> Judgement:
    return after_calls(before, [seen], buckets, now_ms, thresholds)


def opened() -> Breaker:
    return after_call(untroubled("openai-1"), call("failed"), [bucket(9, 9)], NOW_MS, THRESHOLDS).breaker


def half_open() -> Breaker:
    return after_time(opened(), NOW_MS + 30_000)


def test_half_of_ten_failed_calls_open_it_for_the_set_while() -> None:
    breaker = after_call(untroubled("openai-1"), call("failed"), [bucket(9, 4)], NOW_MS, THRESHOLDS).breaker

    assert (breaker.state, breaker.until_ms, breaker.since_ms) == ("open", NOW_MS + 30_000, NOW_MS)
    assert (breaker.calls, breaker.failure_share, breaker.p95_ms) == (10, 0.5, 54)


@pytest.mark.parametrize(("calls", "failures"), [(8, 8), (9, 3), (1_000, 498)])
def test_too_few_calls_or_too_few_failures_leave_it_closed(calls: int, failures: int) -> None:
    before = untroubled("openai-1")

    judgement = after_call(before, call("failed"), [bucket(calls, failures)], NOW_MS, THRESHOLDS)

    assert judgement.breaker is before
    assert judgement.bucket is not None
    assert (judgement.bucket.calls, judgement.bucket.failures) == (calls + 1, failures + 1)


def test_the_whole_window_is_evidence_but_only_the_newest_bucket_grows() -> None:
    older = bucket(9, 9)

    judgement = after_call(untroubled("openai-1"), call("failed"), [Bucket(), older], NOW_MS, THRESHOLDS)

    assert judgement.breaker.calls == 10
    assert judgement.bucket is not None
    assert judgement.bucket.calls == 1


def test_429s_do_not_open_it_while_anybody_is_answered() -> None:
    before = untroubled("openai-1")

    judgement = after_calls(before, [call("limited")] * 50, [bucket(1, 0)], NOW_MS, THRESHOLDS)

    assert judgement.breaker is before
    assert judgement.bucket is not None
    assert (judgement.bucket.calls, judgement.bucket.limited) == (1, 50)


def test_where_nothing_but_429_comes_it_opens_all_the_same() -> None:
    breaker = after_calls(untroubled("openai-1"), [call("limited")] * 10, [Bucket()], NOW_MS, THRESHOLDS).breaker

    assert (breaker.state, breaker.calls, breaker.failure_share) == ("open", 10, 1.0)


def test_a_probe_that_is_answered_429_leaves_it_open() -> None:
    breaker = after_call(half_open(), call("limited", NOW_MS + 30_000), [Bucket()], NOW_MS + 30_050, THRESHOLDS).breaker

    assert (breaker.state, breaker.until_ms) == ("open", NOW_MS + 60_050)


@pytest.mark.parametrize("verdict", ["answered", "failed", "limited"])
def test_calls_that_end_while_it_is_open_change_nothing(verdict: Verdict) -> None:
    before = opened()

    judgement = after_call(before, call(verdict), [Bucket()], NOW_MS + 29_999, THRESHOLDS)

    assert judgement.breaker is before
    assert judgement.bucket is None


def test_time_alone_lets_probes_through_and_not_a_moment_early() -> None:
    before = opened()

    assert after_time(before, NOW_MS + 29_999) is before
    assert after_time(before, NOW_MS + 30_000).state == "half_open"


def test_a_probe_that_is_answered_closes_it_and_the_evidence_starts_over() -> None:
    breaker = after_call(
        half_open(), call("answered", NOW_MS + 30_000), [Bucket()], NOW_MS + 30_050, THRESHOLDS
    ).breaker

    assert (breaker.state, breaker.since_ms, breaker.calls) == ("closed", NOW_MS + 30_050, 0)


def test_a_probe_that_fails_opens_it_again_for_as_long() -> None:
    breaker = after_call(half_open(), call("failed", NOW_MS + 30_000), [Bucket()], NOW_MS + 30_050, THRESHOLDS).breaker

    assert (breaker.state, breaker.until_ms) == ("open", NOW_MS + 60_050)


def test_a_probe_counts_even_when_no_timer_has_half_opened_it() -> None:
    probe = call("answered", NOW_MS + 30_001)

    assert after_call(opened(), probe, [Bucket()], NOW_MS + 30_050, THRESHOLDS).breaker.state == "closed"


@pytest.mark.parametrize("verdict", ["answered", "failed", "limited"])
def test_a_call_begun_before_probes_were_let_through_is_no_probe(verdict: Verdict) -> None:
    before = half_open()

    judgement = after_call(before, call(verdict, NOW_MS + 29_999), [Bucket()], NOW_MS + 31_000, THRESHOLDS)

    assert judgement.breaker is before


def test_a_call_begun_before_it_closed_is_not_held_against_it() -> None:
    closed = after_call(half_open(), call("answered", NOW_MS + 30_000), [Bucket()], NOW_MS + 30_050, THRESHOLDS).breaker

    judgement = after_call(closed, call("failed", NOW_MS + 30_049), [bucket(9, 9)], NOW_MS + 31_000, THRESHOLDS)

    assert judgement.breaker is closed
    assert judgement.bucket is None


def test_trouble_and_its_end_are_told_once_each_and_probes_are_no_news() -> None:
    closed, open_, half = untroubled("openai-1"), opened(), half_open()
    reopened = after_call(half, call("failed", NOW_MS + 30_000), [Bucket()], NOW_MS + 30_050, THRESHOLDS).breaker
    pairs = [(closed, open_), (open_, half), (half, reopened), (half, closed), (closed, closed)]

    alerts = [alert_on(before, after, THRESHOLDS, NOW_MS) for before, after in pairs]

    assert [alert and alert.alert for alert in alerts] == [
        "deployment_unhealthy",
        None,
        None,
        "deployment_recovered",
        None,
    ]
    assert alerts[0] is not None
    assert "openai-1: 100% of the last 10 calls failed" in alerts[0].message


CALLS = st.lists(
    st.builds(Call, st.sampled_from(("answered", "failed", "limited")), st.integers(NOW_MS - 5, NOW_MS + 5), MS)
)
BREAKERS = st.sampled_from(
    (untroubled("openai-1"), untroubled("openai-1").model_copy(update={"since_ms": NOW_MS}), opened(), half_open())
)


@given(BREAKERS, CALLS, st.builds(bucket, st.integers(0, 9), st.just(0)))
def test_calls_taken_together_are_judged_as_if_each_had_come_alone(
    before: Breaker, calls: list[Call], newest: Bucket
) -> None:
    older = bucket(3, 2)
    alone, alone_bucket, changes_alone = before, newest, list[Breaker]()
    for each in calls:
        judgement = after_calls(alone, [each], [alone_bucket, older], NOW_MS, THRESHOLDS)
        alone_bucket = judgement.bucket or alone_bucket
        changes_alone += [judgement.breaker] if judgement.breaker is not alone else []
        alone = judgement.breaker
    together, together_bucket, changes = before, newest, list[Breaker]()
    rest: Sequence[Call] = calls
    while rest:
        judgement = after_calls(together, rest, [together_bucket, older], NOW_MS, THRESHOLDS)
        together_bucket = judgement.bucket or together_bucket
        changes += [judgement.breaker] if judgement.breaker is not together else []
        together, rest = judgement.breaker, judgement.rest

    assert (together, together_bucket, changes) == (alone, alone_bucket, changes_alone)


class BreakerMachine(RuleBasedStateMachine):
    """Calls that start, end in any order and late, and time that passes, against what may never happen."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = NOW_MS
        self.breaker = untroubled("openai-1")
        self.bucket = Bucket()
        self.running: list[int] = []
        self.transitions: list[tuple[Breaker, Breaker]] = []

    @initialize()
    def first_call(self) -> None:
        self.running.append(self.now_ms)

    @rule(milliseconds=st.integers(1, 20_000))
    def time_passes(self, milliseconds: int) -> None:
        self.now_ms += milliseconds

    @rule()
    def the_timer_strikes(self) -> None:
        self._become(after_time(self.breaker, self.now_ms))

    @rule()
    def a_call_starts(self) -> None:
        self.running.append(self.now_ms)

    @precondition(lambda self: bool(self.running))
    @rule(data=st.data(), verdict=st.sampled_from(("answered", "failed", "limited")))
    def a_call_ends(self, data: Any, verdict: Verdict) -> None:
        started_at_ms = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        before = self.breaker
        judgement = after_call(before, call(verdict, started_at_ms), [self.bucket], self.now_ms, THRESHOLDS)
        self._become(judgement.breaker)
        if judgement.bucket is not None:
            assert before.state == "closed"
            self.bucket = judgement.bucket
        if self.breaker.state == "closed" and before.state != "closed":
            assert verdict == "answered"
            assert started_at_ms >= before.until_ms
            self.bucket = Bucket()

    def _become(self, after: Breaker) -> None:
        if after is not self.breaker:
            self.transitions.append((self.breaker, after))
        self.breaker = after

    @invariant()
    def every_change_is_one_that_exists_and_is_new(self) -> None:
        allowed = {("closed", "open"), ("open", "half_open"), ("half_open", "open"), ("half_open", "closed")}
        through_half_open = {("open", "closed"), ("open", "open")}  # the timer had not struck yet
        for before, after in self.transitions:
            assert (before.state, after.state) in allowed | through_half_open
            assert after != before
            assert after.since_ms >= before.since_ms

    @invariant()
    def it_is_open_only_on_enough_evidence_and_never_longer_than_set(self) -> None:
        if self.breaker.state == "open":
            assert self.breaker.calls >= THRESHOLDS.min_calls
            assert self.breaker.failure_share >= THRESHOLDS.failure_share
            assert self.breaker.until_ms - self.breaker.since_ms == THRESHOLDS.open_ms

    @invariant()
    def no_state_is_a_dead_end(self) -> None:
        until_ms = max(self.now_ms, self.breaker.until_ms)
        probe = call("answered", until_ms)
        assert after_call(self.breaker, probe, [Bucket()], until_ms, THRESHOLDS).breaker.state == "closed"


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
