"""What is delivered again after a crash, when its end is known: nobody is asked twice, and nobody waits for nothing."""

from schemas.cached import FlightStarted
from schemas.response import Failure
from streams.runtime.outcome import Absorb, Park
from streams.stages.cache import FLIGHT_LIMIT_MS, decide
from streams.state.kept_answers import KeptAnswers
from tests.unit.caching import Cache, end_of, fill_for, hit, led
from tests.unit.examples import NOW_MS, admitted, delivery, finished, slot_of, view


def test_who_was_answered_is_not_asked_again_when_it_is_delivered_again_and_keeps_nobody_waiting() -> None:
    cache = Cache()
    first = admitted("r-1")
    led(cache.take(first))
    cache.learn(end_of(first, "ok"))
    successor = cache.replaced()

    assert isinstance(successor.take(first), Absorb)
    led(successor.take(admitted("r-2")))


def test_who_was_told_of_the_failure_it_waited_for_is_told_again_and_not_paid_for_when_delivered_again() -> None:
    cache = Cache()
    first, second = admitted("r-1"), admitted("r-2")
    led(cache.take(first))
    assert isinstance(cache.take(second), Park)
    failure = Failure(code="provider_unavailable", message="It failed.")
    cache.learn(end_of(first, "failed", failure))
    told = finished(cache.take(second, parked_ms=NOW_MS))

    again = finished(cache.replaced().take(second))

    assert (again.status, again.failure) == (told.status, told.failure) == ("failed", failure)


def test_a_refresh_that_was_answered_is_not_asked_again_when_it_is_delivered_again() -> None:
    cache = Cache()
    asked = admitted("r-0", cache="refresh")
    led(cache.take(asked))
    cache.learn(fill_for(asked))

    assert isinstance(cache.replaced().take(asked), Absorb)


def test_an_answer_read_before_it_was_asked_for_leaves_nobody_in_the_air_when_it_expires() -> None:
    cache = Cache()
    asked = admitted("r-0")
    slot = slot_of(asked)
    started = FlightStarted(
        namespace=slot.namespace,
        entry=slot.entry,
        identity="acme/r-0",
        started_at_ms=NOW_MS,
        gives_up_at_ms=NOW_MS + FLIGHT_LIMIT_MS,
    )
    cache.learn(fill_for(asked, expires_at_ms=NOW_MS + 1_000))
    cache.learn(started)

    led(cache.take(admitted("r-2"), at_ms=NOW_MS + 2_000))


def test_what_has_ended_is_remembered_within_bounds() -> None:
    state = KeptAnswers(most_ended=2)
    for name in ("r-1", "r-2", "r-3"):
        state.apply(end_of(admitted(name)), NOW_MS)
    entry = slot_of(admitted()).entry
    remembered = [state.ended(entry, f"acme/{name}", NOW_MS) is not None for name in ("r-1", "r-2", "r-3")]
    assert remembered == [False, True, True]


def test_an_id_used_again_days_after_its_end_is_asked_anew() -> None:
    cache = Cache()
    asked = admitted("r-1")
    led(cache.take(asked))
    cache.learn(end_of(asked, "ok"))
    days_later_ms = NOW_MS + 3 * 86_400_000

    again = delivery(timestamp_ms=days_later_ms)

    led(decide(asked, view(cache.state, control=cache.control, now_ms=days_later_ms, delivery=again)))


def test_who_was_given_an_answer_is_given_it_again_when_it_is_delivered_again_after_it_has_expired() -> None:
    cache = Cache()
    led(cache.take(admitted("r-0")))
    asked = admitted("r-1")
    cache.learn(fill_for(admitted("r-0"), expires_at_ms=NOW_MS + 1_000))
    hit(cache.take(asked))
    later_ms = NOW_MS + 60_000
    successor = cache.replaced(at_ms=later_ms)

    again = decide(asked, view(successor.state, control=cache.control, now_ms=later_ms, delivery=delivery()))

    assert hit(again).saved == hit(cache.take(asked)).saved
