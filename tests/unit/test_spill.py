"""A worker whose events mostly become dead letters by our fault stops; by that of producers it never does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from streams.runtime.outcome import OUR_FAULT
from streams.runtime.spill import Spill, SpilledError
from streams.settings import WorkerSettings

TOPIC = "llm.validated"


def spill(**settings: int) -> Spill:
    return Spill("limit", WorkerSettings(**settings))


def handle(counted: Spill, times: int = 1) -> None:
    for _ in range(times):
        counted.finished(TOPIC)


def bury(counted: Spill, times: int = 1) -> None:
    for _ in range(times):
        counted.burying(TOPIC, "decision_failed", "KeyError")
        counted.finished(TOPIC)


def test_a_worker_that_can_handle_nothing_stops_before_it_buries_one_more_than_it_may() -> None:
    counted = spill(spill_letters=20)
    bury(counted, 20)
    with pytest.raises(SpilledError) as told:
        counted.burying(TOPIC, "decision_failed", "KeyError")
    assert "20 of its last 20 events" in str(told.value)
    assert "decision_failed (KeyError)" in str(told.value)
    assert "millrace dlq redrive --stage limit" in str(told.value)


def test_as_many_dead_letters_among_more_that_are_handled_stop_nobody() -> None:
    counted = spill(spill_letters=5, spill_percent=50, spill_window=100)
    for _ in range(100):
        handle(counted, 2)
        bury(counted)


def test_what_was_handled_long_ago_does_not_make_up_for_what_fails_now() -> None:
    counted = spill(spill_letters=5, spill_percent=50, spill_window=20)
    handle(counted, 10_000)
    bury(counted, 10)
    with pytest.raises(SpilledError):
        bury(counted)


def test_what_is_well_on_one_topic_does_not_make_up_for_another_that_is_lost() -> None:
    """Each request that `limit` fails brings it a row about that failure, which it handles."""
    counted = spill(spill_letters=20)
    for _ in range(20):
        bury(counted)
        counted.finished("llm.calls", 5)
    with pytest.raises(SpilledError, match=r"20 of its last 20 events became dead letters, all of llm\.validated"):
        bury(counted)


def test_exactly_the_share_is_too_much() -> None:
    counted = spill(spill_letters=5, spill_percent=50, spill_window=100)
    for _ in range(5):
        handle(counted)
        bury(counted)
    with pytest.raises(SpilledError):
        bury(counted)


def test_who_stops_by_the_batch_says_that_all_of_it_waits() -> None:
    counted = Spill("sink", WorkerSettings(), by_batch=True)
    bury(counted, 20)
    with pytest.raises(SpilledError, match=r"or were about to, all of .*Its last batch waits there, all of it"):
        bury(counted)


def test_what_failed_long_ago_is_forgotten() -> None:
    counted = spill(spill_letters=5, spill_percent=50, spill_window=20)
    bury(counted, 5)
    handle(counted, 20)
    bury(counted, 5)


def test_what_producers_do_wrong_never_adds_up() -> None:
    counted = spill(spill_letters=1, spill_percent=1)
    for _ in range(1_000):
        counted.burying(TOPIC, "request_id_reused", "")
        counted.finished(TOPIC)
    assert "no_request_id" not in OUR_FAULT
    assert "empty_value" not in OUR_FAULT


def test_a_share_of_everything_never_stops() -> None:
    bury(spill(spill_percent=100), 1_000)


def test_a_spill_that_could_never_be_seen_is_refused() -> None:
    with pytest.raises(ValidationError, match="make it no larger than spill_window, 10"):
        WorkerSettings(spill_letters=11, spill_window=10)


@given(
    st.lists(st.booleans(), max_size=300),
    st.integers(1, 8),
    st.integers(1, 99),
    st.integers(8, 40),
)
def test_it_stops_exactly_where_the_share_of_the_window_says(
    fails: list[bool], letters: int, percent: int, window: int
) -> None:
    counted, seen = spill(spill_letters=letters, spill_percent=percent, spill_window=window), list[bool]()
    for failed in fails:
        last = seen[-window:]
        is_too_many = sum(last) >= letters and sum(last) * 100 >= percent * len(last)
        if failed and is_too_many:
            with pytest.raises(SpilledError):
                counted.burying(TOPIC, "unreadable", "DecodeError")
            return
        if failed:
            counted.burying(TOPIC, "unreadable", "DecodeError")
        counted.finished(TOPIC)
        seen.append(failed)
