"""Answers until they expire or make room for newer ones, and questions in flight until they land or are given up."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.cached import CacheRecord, Fill, FlightEnded, FlightStarted
from schemas.flow import Saved
from schemas.response import FunctionCall, Output, Status, ToolCall
from schemas.usage import Usage
from streams.state.kept_answers import DELIVERED_AGAIN_MS, KeptAnswers
from tests.unit.examples import NOW_MS, accepted, answer

HOUR_MS = 3_600_000
KIB = 1024


def fill(entry: str = "acme/q/1", *, output: Output | None = None, expires_at_ms: int = NOW_MS + HOUR_MS) -> Fill:
    return Fill(
        namespace="acme/q",
        entry=entry,
        answer=answer(output=output or Output(content="Yes.")),
        saved=Saved(request_id="r-1", usage=Usage(), cost_usd=None),
        stored_at_ms=NOW_MS,
        expires_at_ms=expires_at_ms,
    )


def started(
    entry: str = "acme/q/1",
    *,
    identity: str = "acme/r-1",
    started_at_ms: int = NOW_MS,
    gives_up_at_ms: int = NOW_MS + 120_000,
) -> FlightStarted:
    return FlightStarted(
        namespace="acme/q", entry=entry, identity=identity, started_at_ms=started_at_ms, gives_up_at_ms=gives_up_at_ms
    )


def ended(entry: str = "acme/q/1", *, identity: str = "acme/r-1", status: Status = "failed") -> FlightEnded:
    return FlightEnded(namespace="acme/q", entry=entry, identity=identity, status=status)


def answers(*records: CacheRecord, now_ms: int = NOW_MS, max_bytes: int = 10 * KIB) -> KeptAnswers:
    made = KeptAnswers(max_bytes)
    for record in records:
        made.apply(record, now_ms)
    return made


def test_an_answer_is_given_until_the_moment_it_expires() -> None:
    state = answers(fill(expires_at_ms=NOW_MS + 10))

    assert state.fill("acme/q/1", NOW_MS + 9) == fill(expires_at_ms=NOW_MS + 10)
    assert state.fill("acme/q/1", NOW_MS + 10) is None


def test_an_answer_that_had_expired_before_it_was_read_takes_no_room_and_replaces_what_was_there() -> None:
    long_ago_ms = NOW_MS - DELIVERED_AGAIN_MS
    state = answers(fill(), fill(expires_at_ms=long_ago_ms))

    assert state.fill("acme/q/1", long_ago_ms - 1) is None


def test_a_newer_answer_replaces_the_older() -> None:
    newer = fill(output=Output(content="No."))

    assert answers(fill(), newer).fill("acme/q/1", NOW_MS) == newer


LONG = "x" * (4 * KIB)


@pytest.mark.parametrize(
    "large",
    [
        Output(content=LONG),
        Output(content="語" * (2 * KIB)),
        Output(refusal=LONG),
        Output(tool_calls=(ToolCall(id="c", function=FunctionCall(name="f", arguments=LONG)),)),
    ],
    ids=["text", "text of wide letters", "a refusal", "a tool call"],
)
def test_the_oldest_answers_make_room_whatever_makes_the_new_ones_large(large: Output) -> None:
    state = answers(*(fill(f"acme/q/{number}", output=large) for number in range(5)), max_bytes=16 * KIB)

    kept = [number for number in range(5) if state.fill(f"acme/q/{number}", NOW_MS) is not None]

    assert kept
    assert kept == list(range(5 - len(kept), 5))
    assert len(kept) * 4 * KIB <= 16 * KIB


def test_an_answer_larger_than_all_the_room_is_not_kept_and_the_next_one_is() -> None:
    state = answers(fill("acme/q/large", output=Output(content="x" * 20 * KIB)), fill())

    assert state.fill("acme/q/large", NOW_MS) is None
    assert state.fill("acme/q/1", NOW_MS) is not None


@settings(deadline=None)
@given(
    stored=st.lists(st.tuples(st.integers(0, 5), st.text(max_size=900), st.booleans()), max_size=40),
)
def test_the_room_is_never_overdrawn_and_never_lost(stored: list[tuple[int, str, bool]]) -> None:
    state = KeptAnswers(4 * KIB)
    for number, text, alive in stored:
        expires_at_ms = NOW_MS + HOUR_MS if alive else NOW_MS
        state.apply(fill(f"acme/q/{number}", output=Output(content=text), expires_at_ms=expires_at_ms), NOW_MS)
        kept = [found for each in range(6) if (found := state.fill(f"acme/q/{each}", NOW_MS)) is not None]
        assert sum(len(found.encode()) for found in kept) <= 4 * KIB

    fresh = fill("acme/q/fresh", output=Output(content="x" * 2 * KIB))
    state.apply(fresh, NOW_MS)
    assert state.fill("acme/q/fresh", NOW_MS) == fresh


def test_answers_take_no_more_memory_than_their_room() -> None:
    room = 8 * 1024 * KIB
    state = KeptAnswers(room)
    tracemalloc.start()
    for number in range(6_000):
        state.apply(fill(f"acme/q/{number:064x}", output=Output(content="x" * 1_500)), NOW_MS)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert state.fill(f"acme/q/{0:064x}", NOW_MS) is None  # the room is full
    assert 0.7 * room < taken < 1.1 * room


def test_a_question_is_in_flight_until_it_is_given_up() -> None:
    state = answers(started(gives_up_at_ms=NOW_MS + 10))

    assert state.flight("acme/q/1", NOW_MS + 9) == started(gives_up_at_ms=NOW_MS + 10)
    assert state.flight("acme/q/1", NOW_MS + 10) is None


def test_an_answer_lands_the_flight_and_wakes_those_who_wait_for_that_very_entry() -> None:
    state = answers(started(), started("acme/q/2", identity="acme/r-2"))

    assert state.apply(fill(), NOW_MS) == ("acme/q/1",)
    assert state.flight("acme/q/1", NOW_MS) is None
    assert state.flight("acme/q/2", NOW_MS) is not None


def test_a_flight_that_ends_without_an_answer_says_why_to_those_who_waited_since_before() -> None:
    state = answers(started())

    assert state.apply(ended(), NOW_MS + 50) == ("acme/q/1",)

    assert state.flight("acme/q/1", NOW_MS + 50) is None
    assert state.landed_since("acme/q/1", NOW_MS + 50) == ended()
    assert state.landed_since("acme/q/1", NOW_MS + 51) is None


def test_the_end_of_somebody_elses_flight_ends_nothing() -> None:
    state = answers(started(identity="acme/r-2"))

    assert state.apply(ended(identity="acme/r-1"), NOW_MS) == ()
    assert state.flight("acme/q/1", NOW_MS) is not None
    assert state.landed_since("acme/q/1", 0) is None


def test_a_flight_whose_end_is_read_before_its_start_is_not_in_the_air() -> None:
    state = answers()
    state.apply(ended(), NOW_MS)
    state.apply(started(), NOW_MS)
    assert state.flight("acme/q/1", NOW_MS) is None

    state.apply(started(identity="acme/r-2"), NOW_MS)
    assert state.flight("acme/q/1", NOW_MS) == started(identity="acme/r-2")


def test_a_start_read_back_late_does_not_take_the_place_of_a_younger_one() -> None:
    state = answers()
    younger = started(identity="acme/r-2", started_at_ms=NOW_MS + 1)
    state.apply(younger, NOW_MS)
    state.apply(started(), NOW_MS)
    state.apply(ended(), NOW_MS)
    assert state.flight("acme/q/1", NOW_MS) == younger


def test_an_end_wakes_those_who_wait_though_its_flight_was_forgotten_at_its_limit_because_of_another() -> None:
    state = answers(started(gives_up_at_ms=NOW_MS + 50))
    state.apply(started("globex/q/1", identity="globex/r-1"), NOW_MS + 50)

    assert state.apply(ended(), NOW_MS + 50) == ("acme/q/1",)


@pytest.mark.parametrize("is_forgotten", [True, False])
def test_an_end_wakes_those_who_wait_once_the_flight_after_its_own_is_given_up_too(is_forgotten: bool) -> None:
    state = answers(started(), started(identity="acme/r-2", started_at_ms=NOW_MS + 1, gives_up_at_ms=NOW_MS + 50))
    if is_forgotten:
        state.apply(started("globex/q/1", identity="globex/r-1"), NOW_MS + 50)

    assert state.apply(ended(), NOW_MS + 50) == ("acme/q/1",)


def test_a_new_flight_is_not_told_of_the_last_ones_end() -> None:
    state = answers(started(), ended(), started(identity="acme/r-2"))

    assert state.landed_since("acme/q/1", 0) is None


def test_a_flight_that_began_wakes_nobody() -> None:
    assert answers().apply(started(), NOW_MS) == ()


def test_an_old_answer_stays_while_a_new_one_is_asked_for_and_when_that_fails() -> None:
    state = answers(fill(), started(), ended())

    assert state.fill("acme/q/1", NOW_MS) == fill()


def test_flights_that_never_land_and_endings_long_past_are_let_go() -> None:
    """Requests that end at a failing stage leave their flights open: over months that filled the memory."""
    state = KeptAnswers()
    for number in range(1_000):
        at_ms = NOW_MS + number * 1_000
        lost, landed = f"acme/lost/{number}", f"acme/landed/{number}"
        state.apply(started(lost, gives_up_at_ms=at_ms + 120_000), at_ms)
        state.apply(started(landed, gives_up_at_ms=at_ms + 120_000), at_ms)
        state.apply(ended(landed), at_ms)

    flying = [number for number in range(1_000) if state.flight(f"acme/lost/{number}", 0) is not None]
    told = [number for number in range(1_000) if state.landed_since(f"acme/landed/{number}", 0) is not None]

    assert len(flying) == 120
    assert len(told) == 60


@settings(deadline=None)
@given(order=st.permutations(range(4)))
def test_what_is_read_back_from_the_topic_is_what_was_there(order: list[int]) -> None:
    records: list[CacheRecord] = [fill("acme/q/1"), started("acme/q/2"), started("acme/q/3"), ended("acme/q/3")]
    chosen = [records[number] for number in order]
    live = answers(*chosen)

    restored = answers(*(type(record).decode(record.encode()) for record in chosen))

    for entry in ("acme/q/1", "acme/q/2", "acme/q/3"):
        assert restored.fill(entry, NOW_MS) == live.fill(entry, NOW_MS)
        assert restored.flight(entry, NOW_MS) == live.flight(entry, NOW_MS)


def test_nothing_else_can_be_held() -> None:
    with pytest.raises(TypeError, match="cannot hold Accepted"):
        KeptAnswers().apply(accepted(), NOW_MS)
