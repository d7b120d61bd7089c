"""A worker that sees a run of failures, or a 429, acts on it at once, and for seconds only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.control import Breaker
from streams.invoke.reflex import (
    FORGET_MS,
    LONGEST_PAUSE_MS,
    NO_TROUBLE,
    PAUSE_MS,
    RUN,
    SHUT_MS,
    Reflexes,
    after,
)
from streams.verdicts import Verdict
from tests.unit.examples import NOW_MS, breaker, control


def seen(reflexes: Reflexes, now_ms: int, *said: Breaker) -> Breaker | None:
    return reflexes.seen(control(*said), now_ms).breakers.get("openai-1")


def failing(times: int, now_ms: int = NOW_MS) -> Reflexes:
    reflexes = Reflexes()
    for _ in range(times):
        reflexes.ended("openai-1", "failed", None, now_ms)
    return reflexes


def test_a_run_of_failures_shuts_a_deployment_before_watch_has_spoken() -> None:
    assert seen(failing(RUN - 1), NOW_MS) is None

    shut = seen(failing(RUN), NOW_MS)

    assert shut is not None
    assert (shut.state, shut.until_ms) == ("open", NOW_MS + SHUT_MS)


def test_one_answer_ends_a_run() -> None:
    reflexes = failing(RUN - 1)

    reflexes.ended("openai-1", "answered", None, NOW_MS)
    reflexes.ended("openai-1", "failed", None, NOW_MS)

    assert seen(reflexes, NOW_MS) is None


def test_failures_that_lie_far_apart_are_no_run() -> None:
    reflexes = Reflexes()
    for number in range(2 * RUN):
        reflexes.ended("openai-1", "failed", None, NOW_MS + number * FORGET_MS)

    assert seen(reflexes, NOW_MS + 2 * RUN * FORGET_MS) is None


def test_after_a_few_seconds_one_call_finds_out_and_is_believed() -> None:
    reflexes, later_ms = failing(RUN), NOW_MS + SHUT_MS

    probing = seen(reflexes, later_ms)
    assert probing is not None
    assert probing.state == "half_open"

    reflexes.ended("openai-1", "failed", None, later_ms)
    again = seen(reflexes, later_ms)
    assert again is not None
    assert (again.state, again.until_ms) == ("open", later_ms + SHUT_MS)

    reflexes.ended("openai-1", "answered", None, later_ms)
    assert seen(reflexes, later_ms) is None


def test_calls_begun_before_that_fail_one_after_another_do_not_put_off_the_probe() -> None:
    reflexes = failing(RUN)
    for after_ms in range(0, 2 * SHUT_MS, SHUT_MS // 5):
        reflexes.ended("openai-1", "failed", None, NOW_MS + after_ms, began_ms=NOW_MS - 60_000)

        now = seen(reflexes, NOW_MS + after_ms)
        assert now is not None
        assert now.state == ("open" if after_ms < SHUT_MS else "half_open")

    reflexes.ended("openai-1", "failed", None, NOW_MS + 2 * SHUT_MS, began_ms=NOW_MS + SHUT_MS)
    shut = seen(reflexes, NOW_MS + 2 * SHUT_MS)
    assert shut is not None
    assert (shut.state, shut.until_ms) == ("open", NOW_MS + 3 * SHUT_MS)


def test_what_watch_says_for_longer_stands() -> None:
    fleet = breaker(until_ms=NOW_MS + 30_000)

    assert seen(failing(RUN), NOW_MS, fleet) == fleet
    assert seen(failing(RUN), NOW_MS + SHUT_MS, fleet) == fleet


@pytest.mark.parametrize(("told_ms", "pause_ms"), [(None, PAUSE_MS), (3_000, 3_000), (600_000, LONGEST_PAUSE_MS)])
def test_a_429_pauses_a_deployment_for_as_long_as_it_said_within_reason(told_ms: int | None, pause_ms: int) -> None:
    reflexes = Reflexes()

    reflexes.ended("openai-1", "limited", told_ms, NOW_MS)

    paused = seen(reflexes, NOW_MS)
    assert paused is not None
    assert (paused.state, paused.until_ms) == ("open", NOW_MS + pause_ms)
    assert seen(reflexes, NOW_MS + pause_ms) is None


def test_any_number_of_429s_is_no_run_of_failures() -> None:
    reflexes = Reflexes()
    for _ in range(3 * RUN):
        reflexes.ended("openai-1", "limited", 1_000, NOW_MS)

    assert seen(reflexes, NOW_MS + 1_000) is None


def test_an_answer_to_a_call_begun_before_does_not_cut_a_pause_short() -> None:
    reflexes = Reflexes()
    reflexes.ended("openai-1", "limited", 5_000, NOW_MS)

    reflexes.ended("openai-1", "answered", None, NOW_MS + 1)

    assert seen(reflexes, NOW_MS + 4_999) is not None


def test_a_healthy_fleet_is_seen_as_it_is_at_no_cost() -> None:
    reflexes, view = Reflexes(), control()
    reflexes.ended("openai-1", "answered", None, NOW_MS)
    reflexes.ended("openai-1", None, None, NOW_MS)

    assert reflexes.seen(view, NOW_MS) is view


VERDICTS: st.SearchStrategy[Verdict] = st.sampled_from(("answered", "failed", "limited"))


@given(st.lists(st.tuples(VERDICTS, st.none() | st.integers(0, 10**7), st.integers(0, 20_000)), max_size=60))
def test_whatever_happens_all_of_it_is_forgotten_in_time(happened: list[tuple[Verdict, int | None, int]]) -> None:
    trouble, now_ms = NO_TROUBLE, NOW_MS
    for verdict, told_ms, pause_ms in happened:
        now_ms += pause_ms
        trouble = after(trouble, verdict, told_ms, now_ms)
        assert trouble.shut_until_ms <= now_ms + SHUT_MS
        assert trouble.paused_until_ms <= now_ms + LONGEST_PAUSE_MS

    assert trouble.is_over(now_ms + max(FORGET_MS, LONGEST_PAUSE_MS))
