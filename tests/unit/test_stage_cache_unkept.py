"""An answer that is not kept serves all who waited for it, and nobody who asks afterwards."""

from msgspec.structs import replace

from schemas.cached import FlightEnded, Invalidated
from schemas.flow import Admitted, Completion, Miss, Saved
from schemas.response import FinishReason
from schemas.topics import COMPLETIONS, MISSES
from schemas.usage import Usage
from streams.runtime.outcome import Absorb, Park
from streams.stages import cache
from streams.state.unkept import KNOWN_FOR_MS, ROOM_BYTES, Unkept
from tests.unit.caching import Cache, end_of, fill_for, hit, led
from tests.unit.examples import NOW_MS, admitted, answer, delivery, slot_of, view
from tests.unit.test_decider import Shell

ENDED_MS = NOW_MS + 500


def refused(leader: Admitted, said: str = "I cannot help with that.", reason: FinishReason = "refusal") -> FlightEnded:
    """As `postprocess` writes it."""
    saved = Saved(request_id=leader.ticket.request_id, usage=Usage(text_output_tokens=5), cost_usd=None)
    given = replace(
        fill_for(leader),
        answer=answer(said, finish_reason=reason),
        saved=saved,
        stored_at_ms=ENDED_MS,
        expires_at_ms=ENDED_MS,
        asked_at_ms=NOW_MS,
    )
    return replace(end_of(leader, "ok"), ended_at_ms=ENDED_MS, given=given, steps={"refusal": "declined"})


def test_two_hundred_who_waited_for_an_answer_that_is_not_kept_cost_one_call() -> None:
    shell = Shell(cache.STAGE)
    for number in range(200):
        shell.take(admitted(f"r-{number}").encode())

    shell.now_ms = ENDED_MS
    shell.learn(refused(admitted("r-0")))

    asked: list[Miss] = shell.on(MISSES)
    assert [each.ticket.request_id for each in asked] == ["r-0"]
    told: list[Completion] = shell.on(COMPLETIONS)
    assert [each.ticket.request_id for each in told] == [f"r-{number}" for number in range(1, 200)]
    assert {each.cache for each in told} == {"coalesced"}
    assert shell.work.parked_count == 0


def test_they_are_given_the_very_answer_with_what_it_saved_and_what_was_said_of_it() -> None:
    state, leader, follower = Cache(), admitted("r-1"), admitted("r-2")
    led(state.take(leader))
    assert isinstance(state.take(follower, at_ms=NOW_MS + 10), Park)

    assert state.learn(refused(leader), at_ms=ENDED_MS) == [slot_of(leader).entry]
    given = hit(state.take(follower, at_ms=ENDED_MS, parked_ms=NOW_MS + 10))

    assert (given.cache, given.answer) == (
        "coalesced",
        answer("I cannot help with that.", finish_reason="refusal"),
    )
    assert given.saved is not None
    assert given.saved.request_id == "r-1"
    assert given.steps == {"refusal": "declined"}


def test_only_is_given_it_too() -> None:
    state, leader, follower = Cache(), admitted("r-1"), admitted("r-2", cache="only")
    led(state.take(leader))
    state.take(follower)
    state.learn(refused(leader), at_ms=ENDED_MS)

    assert hit(state.take(follower, at_ms=ENDED_MS, parked_ms=NOW_MS)).cache == "coalesced"


def test_who_asks_afterwards_asks_anew() -> None:
    state, leader = Cache(), admitted("r-1")
    led(state.take(leader))
    state.learn(refused(leader), at_ms=ENDED_MS)

    assert led(state.take(admitted("r-2"), at_ms=ENDED_MS)).ticket.request_id == "r-2"


def test_who_waited_is_given_it_though_another_asks_anew_already() -> None:
    state, leader, follower = Cache(), admitted("r-1"), admitted("r-2")
    led(state.take(leader))
    state.take(follower)
    state.learn(refused(leader), at_ms=ENDED_MS)
    led(state.take(admitted("r-3"), at_ms=ENDED_MS))

    assert hit(state.take(follower, at_ms=ENDED_MS, parked_ms=NOW_MS)).cache == "coalesced"
    assert isinstance(state.take(admitted("r-4"), at_ms=ENDED_MS), Park)


def test_who_was_held_back_here_has_waited_whatever_the_clock_of_its_writer_says() -> None:
    state, leader, follower = Cache(), admitted("r-1"), admitted("r-2")
    led(state.take(leader))
    state.take(follower, at_ms=NOW_MS + 400)
    behind = replace(refused(leader), ended_at_ms=NOW_MS + 100)
    state.learn(behind, at_ms=ENDED_MS)

    assert hit(state.take(follower, at_ms=ENDED_MS, parked_ms=NOW_MS + 400)).cache == "coalesced"


def test_who_was_given_it_is_given_it_again_by_a_new_worker_and_its_leader_is_not_asked_again() -> None:
    state, leader, follower = Cache(), admitted("r-1"), admitted("r-2")
    led(state.take(leader))
    state.take(follower)
    state.learn(refused(leader), at_ms=ENDED_MS)
    first = hit(state.take(follower, at_ms=ENDED_MS, parked_ms=NOW_MS))

    successor = state.replaced(at_ms=ENDED_MS + 2_000)

    asked = delivery(timestamp_ms=NOW_MS + 10)
    seen = view(successor.state, control=successor.control, now_ms=ENDED_MS + 2_000, delivery=asked)
    again = hit(cache.decide(follower, seen))
    assert (again.cache, again.answer) == (first.cache, first.answer)
    assert isinstance(cache.decide(leader, seen), Absorb)


def test_an_answer_that_was_kept_before_stays_kept() -> None:
    state, leader = Cache(), admitted("r-1", cache="refresh")
    state.learn(fill_for(leader, content="old"))
    led(state.take(leader))
    state.learn(refused(leader), at_ms=ENDED_MS)

    later = hit(state.take(admitted("r-2"), at_ms=ENDED_MS))

    assert (later.cache, later.answer) == ("exact", answer("old"))


def test_the_slower_answer_serves_those_who_wait_for_the_more_urgent_though_it_is_not_kept() -> None:
    state, slow, follower = Cache(), admitted("r-1", priority="low"), admitted("r-3", priority="high")
    led(state.take(slow))
    led(state.take(admitted("r-2", priority="high")))
    assert isinstance(state.take(follower), Park)

    assert state.learn(refused(slow), at_ms=ENDED_MS) == [slot_of(slow).entry]

    assert hit(state.take(follower, at_ms=ENDED_MS, parked_ms=NOW_MS)).cache == "coalesced"


def test_an_answer_that_was_taken_back_while_it_was_waited_for_is_given_to_nobody_else() -> None:
    back = Invalidated(tenant_id="acme", before_ms=NOW_MS + 100)
    for is_before in (True, False):
        state, leader, follower = Cache(), admitted("r-1"), admitted("r-2")
        led(state.take(leader))
        state.take(follower)
        for record in (back, refused(leader)) if is_before else (refused(leader), back):
            state.learn(record, at_ms=ENDED_MS)

        assert led(state.take(follower, at_ms=ENDED_MS, parked_ms=NOW_MS)).ticket.request_id == "r-2"


def test_what_is_not_kept_takes_little_room_and_is_forgotten_soon() -> None:
    known, large = Unkept(), "x" * (ROOM_BYTES // 3)
    for number in range(4):
        known.add(refused(admitted(text=f"Question {number}?"), large), ENDED_MS)
    entries = [slot_of(admitted(text=f"Question {number}?")).entry for number in range(4)]
    assert [known.for_who_asked(each, NOW_MS, None) is not None for each in entries] == [False, False, True, True]

    late_ms = ENDED_MS + KNOWN_FOR_MS
    known.add(refused(admitted(text="Another?")), late_ms)
    assert [known.for_who_asked(each, NOW_MS, None) for each in entries] == [None] * 4
    assert known.for_who_asked(slot_of(admitted(text="Another?")).entry, NOW_MS, None) is None, "it is as old"


def test_it_is_known_for_longer_than_one_that_waits_may_hold_back_who_was_given_it() -> None:
    """They are delivered again when the worker that gave it is replaced, and are read back with what was written."""
    known, event = Unkept(), admitted("r-2")
    known.add(refused(event), ENDED_MS + cache.FLIGHT_LIMIT_MS)

    assert known.for_who_asked(slot_of(event).entry, NOW_MS, None) is not None
