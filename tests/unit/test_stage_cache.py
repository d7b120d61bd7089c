"""The first to ask leads, whoever asks the same waits, and nobody is given what is not theirs, or waits for ever."""

from typing import Any

import pytest

from schemas.cached import Fill
from schemas.flow import Miss
from schemas.prompt import UserMessage
from schemas.request import Priority
from schemas.response import Failure, Status
from schemas.topics import CACHE, MISSES
from streams.control import ControlView
from streams.questions import prompt_of
from streams.runtime.outcome import Finish, Forward, Park
from streams.stages.cache import FLIGHT_LIMIT_MS
from streams.state.kept_answers import KeptAnswers
from tests.unit.caching import Cache, end_of, fill_for, hit, led
from tests.unit.examples import (
    NOW_MS,
    admitted,
    answer,
    control,
    finished,
    forwarded,
    prompt,
    slot_of,
    tenant,
)


def test_the_first_to_ask_leads_and_says_so_where_every_worker_of_its_namespace_reads() -> None:
    event = admitted()

    asked, flight = forwarded(Cache().take(event, at_ms=NOW_MS + 3))

    assert (asked.topic, asked.key) == (MISSES, "r-1")
    assert isinstance(asked.event, Miss)
    assert asked.event.slot == slot_of(event)
    assert asked.event.ticket.stamps["cache"] == NOW_MS + 3
    assert (flight.topic, flight.partition_by) == (CACHE, event.namespace)
    assert flight.key != slot_of(event).entry, "on a compacted topic it would erase the answer that is kept"


def test_a_kept_answer_ends_the_request() -> None:
    cache, event = Cache(), admitted("r-2")
    cache.learn(fill_for(event))

    completion = hit(cache.take(event, at_ms=NOW_MS + 3))

    assert (completion.cache, completion.answer, completion.slot) == ("exact", answer("Yes."), None)
    assert completion.saved is not None
    assert completion.saved.request_id == "r-0"
    assert completion.attempts == ()
    assert completion.ticket.stamps["cache"] == NOW_MS + 3


def test_an_expired_answer_is_asked_for_again() -> None:
    cache, event = Cache(), admitted()
    cache.learn(fill_for(event, expires_at_ms=NOW_MS + 10))

    led(cache.take(event, at_ms=NOW_MS + 10))


def test_an_answer_is_kept_as_long_as_its_tenant_wants() -> None:
    brief = Cache(control(tenant(cache_ttl_s=60)))

    slot = led(brief.take(admitted())).slot

    assert slot is not None
    assert slot.expires_after_ms == 60_000


def test_who_asks_the_same_meanwhile_waits_and_is_given_the_same_answer() -> None:
    cache, leader, follower = Cache(), admitted("r-1"), admitted("r-2")
    led(cache.take(leader))

    entry = slot_of(leader).entry
    assert cache.take(follower, at_ms=NOW_MS + 10) == Park(on=entry, until_ms=NOW_MS + FLIGHT_LIMIT_MS)
    assert cache.learn(fill_for(leader), at_ms=NOW_MS + 500) == [entry]
    completion = hit(cache.take(follower, at_ms=NOW_MS + 500, parked_ms=NOW_MS + 10))
    assert completion.cache == "coalesced"
    assert completion.ticket.request_id == "r-2"


def test_an_answer_to_another_question_wakes_nobody() -> None:
    cache, leader = Cache(), admitted("r-1")
    led(cache.take(leader))
    parked = cache.take(admitted("r-2"))
    assert isinstance(parked, Park)

    assert parked.on not in cache.learn(fill_for(admitted(text="Is it red?")))
    assert cache.take(admitted("r-2"), parked_ms=NOW_MS) == parked


def test_the_leaders_failure_is_shared_with_those_who_waited() -> None:
    cache, leader, follower = Cache(), admitted("r-1"), admitted("r-2")
    led(cache.take(leader))
    cache.take(follower)
    failure = Failure(code="provider_unavailable", message="openai-1 did not answer", retryable=True)
    cache.learn(end_of(leader, "failed", failure), at_ms=NOW_MS + 500)

    completion = finished(cache.take(follower, at_ms=NOW_MS + 500, parked_ms=NOW_MS))

    assert (completion.status, completion.failure, completion.cache) == ("failed", failure, "coalesced")
    assert completion.ticket.request_id == "r-2"


def test_who_asks_after_the_failure_is_not_given_it_but_asks_anew() -> None:
    cache, leader = Cache(), admitted("r-1")
    led(cache.take(leader))
    cache.learn(end_of(leader), at_ms=NOW_MS + 500)

    led(cache.take(admitted("r-2"), at_ms=NOW_MS + 500))


@pytest.mark.parametrize("status", ["expired", "rejected", "ok"])
def test_when_the_leader_ends_for_a_reason_of_its_own_the_next_in_line_leads_and_the_rest_wait_on(
    status: Status,
) -> None:
    cache, leader, second, third = Cache(), admitted("r-1"), admitted("r-2"), admitted("r-3")
    led(cache.take(leader))
    cache.take(second)
    cache.take(third)
    cache.learn(end_of(leader, status), at_ms=NOW_MS + 500)

    assert led(cache.take(second, at_ms=NOW_MS + 500, parked_ms=NOW_MS)).ticket.request_id == "r-2"
    assert cache.take(third, at_ms=NOW_MS + 500, parked_ms=NOW_MS) == Park(
        on=slot_of(leader).entry, until_ms=NOW_MS + 500 + FLIGHT_LIMIT_MS
    )


def test_a_flight_nobody_hears_of_again_is_given_up_and_the_next_in_line_leads() -> None:
    cache, leader, follower = Cache(), admitted("r-1"), admitted("r-2")
    led(cache.take(leader))
    parked = cache.take(follower)
    assert isinstance(parked, Park)

    led(cache.take(follower, at_ms=parked.until_ms, parked_ms=NOW_MS))

    assert cache.learn(end_of(leader), at_ms=parked.until_ms + 1) == [], "the old leader's end is not the new one's"
    assert isinstance(cache.take(admitted("r-3"), at_ms=parked.until_ms + 1), Park)


def test_who_waits_is_held_back_no_longer_than_its_own_deadline() -> None:
    cache = Cache()
    led(cache.take(admitted("r-1")))
    hurried = admitted("r-2", deadline_ms=NOW_MS + 50)

    assert cache.take(hurried) == Park(on=slot_of(hurried).entry, until_ms=NOW_MS + 50)
    completion = finished(cache.take(hurried, at_ms=NOW_MS + 50, parked_ms=NOW_MS))

    assert completion.status == "expired"
    assert completion.failure is not None
    assert (completion.failure.code, completion.failure.field) == ("deadline_exceeded", "deadline_ms")


def test_an_answer_that_comes_with_the_deadline_comes_too_late() -> None:
    cache, late = Cache(), admitted("r-2", deadline_ms=NOW_MS)
    cache.learn(fill_for(late))

    assert finished(cache.take(late)).status == "expired"


@pytest.mark.parametrize(("flying", "asking"), [("low", "normal"), ("low", "high"), ("normal", "high")])
def test_the_more_urgent_does_not_wait_in_a_slower_lane_but_leads_from_then_on(
    flying: Priority, asking: Priority
) -> None:
    cache, slow, urgent = Cache(), admitted("r-1", priority=flying), admitted("r-2", priority=asking)
    led(cache.take(slow))

    assert led(cache.take(urgent)).ticket.request_id == "r-2"

    for follower in (admitted("r-3", priority=flying), admitted("r-4", priority=asking)):
        assert isinstance(cache.take(follower), Park)
    assert cache.learn(end_of(slow)) == [], "those who wait now wait for the more urgent"


@pytest.mark.parametrize(("flying", "asking"), [("low", "low"), ("normal", "low"), ("high", "low"), ("high", "normal")])
def test_nobody_pays_again_for_what_is_asked_as_urgently_already(flying: Priority, asking: Priority) -> None:
    cache = Cache()
    led(cache.take(admitted("r-1", priority=flying)))

    for worker in (cache, cache.replaced()):
        assert isinstance(worker.take(admitted("r-2", priority=asking)), Park)


def test_the_slower_answer_serves_those_who_wait_for_the_more_urgent_if_it_comes_first() -> None:
    cache, slow = Cache(), admitted("r-1", priority="low")
    led(cache.take(slow))
    led(cache.take(admitted("r-2", priority="high")))
    follower = admitted("r-3", priority="high")
    assert isinstance(cache.take(follower), Park)

    cache.learn(fill_for(slow), at_ms=NOW_MS + 5)

    assert hit(cache.take(follower, at_ms=NOW_MS + 5, parked_ms=NOW_MS)).cache == "coalesced"


def test_only_waits_for_a_slower_lane_too_since_it_never_asks() -> None:
    cache = Cache()
    led(cache.take(admitted("r-1", priority="low")))

    assert isinstance(cache.take(admitted("r-2", priority="high", cache="only")), Park)


def test_a_leader_delivered_again_is_forwarded_again_and_does_not_wait_for_itself() -> None:
    cache, leader = Cache(), admitted("r-1")
    first = led(cache.take(leader))

    for worker in (cache, cache.replaced()):
        assert led(worker.take(leader)) == first


def test_a_new_worker_sees_the_questions_in_flight_and_the_answers_kept() -> None:
    cache, leader, other = Cache(), admitted("r-1"), admitted("r-9", text="Is it red?")
    led(cache.take(leader))
    cache.learn(fill_for(other))

    successor = cache.replaced(at_ms=NOW_MS + 1_000)

    assert isinstance(successor.take(admitted("r-2"), at_ms=NOW_MS + 1_000), Park)
    assert hit(successor.take(other, at_ms=NOW_MS + 1_000)).cache == "exact"


def test_a_new_worker_does_not_wait_for_a_flight_that_was_given_up() -> None:
    cache = Cache()
    led(cache.take(admitted("r-1")))
    much_later = NOW_MS + FLIGHT_LIMIT_MS

    led(cache.replaced(at_ms=much_later).take(admitted("r-2"), at_ms=much_later))


def test_two_tenants_never_share_an_answer_or_a_flight_to_the_same_question() -> None:
    cache, ours, theirs = Cache(), admitted("r-1"), admitted("r-1", tenant_id="globex")

    led(cache.take(ours))
    assert led(cache.take(theirs)).slot != slot_of(ours)

    assert cache.learn(fill_for(ours, content="for acme only")) == [slot_of(ours).entry]
    assert isinstance(cache.take(admitted("r-2", tenant_id="globex")), Park)
    cache.learn(fill_for(theirs, content="for globex only"))
    for name, content in (("acme", "for acme only"), ("globex", "for globex only")):
        given = hit(cache.take(admitted("r-3", tenant_id=name))).answer
        assert given is not None
        assert given.output.content == content


def test_refresh_asks_again_whatever_is_kept_or_in_flight_and_leaves_the_old_answer_to_others() -> None:
    cache, event = Cache(), admitted("r-1", cache="refresh")
    cache.learn(fill_for(event, content="old"))

    led(cache.take(event))
    led(cache.take(admitted("r-2", cache="refresh")))

    given = hit(cache.take(admitted("r-3"))).answer
    assert given is not None
    assert given.output.content == "old"


def test_only_takes_what_is_kept_and_is_told_when_there_is_nothing() -> None:
    cache, event = Cache(), admitted("r-1", cache="only")

    completion = finished(cache.take(event))
    assert completion.status == "rejected"
    assert completion.failure is not None
    assert (completion.failure.code, completion.failure.field) == ("cache_miss", "cache")
    assert "use cache `refresh`" in completion.failure.message

    cache.learn(fill_for(event))
    assert hit(cache.take(event)).cache == "exact"


def test_a_tenants_only_and_refresh_hold_for_requests_that_say_nothing() -> None:
    never, always = Cache(control(tenant(cache="only"))), Cache(control(tenant(cache="refresh")))
    event = admitted("r-1")

    failure = finished(never.take(event)).failure
    assert failure is not None
    assert (failure.code, failure.field) == ("cache_miss", "cache")
    for cache in (never, always):
        cache.learn(fill_for(admitted()))

    assert hit(never.take(event)).cache == "exact"
    led(always.take(event))


def test_a_request_that_says_something_is_obeyed_before_its_tenant() -> None:
    never, always = Cache(control(tenant(cache="only"))), Cache(control(tenant(cache="refresh")))

    led(never.take(admitted("r-1", cache="refresh")))
    (asked,) = forwarded(never.take(admitted("r-2", cache="off")))
    assert isinstance(asked.event, Miss)
    assert asked.event.slot is None
    assert finished(always.take(admitted("r-3", cache="only"))).status == "rejected"
    always.learn(fill_for(admitted()))
    assert hit(always.take(admitted("r-4", cache="only"))).cache == "exact"


def test_only_waits_for_a_question_in_flight_but_never_asks_itself() -> None:
    cache, leader, follower = Cache(), admitted("r-1"), admitted("r-2", cache="only")
    led(cache.take(leader))
    assert isinstance(cache.take(follower), Park)

    cache.learn(end_of(leader, "expired"), at_ms=NOW_MS + 500)

    assert finished(cache.take(follower, at_ms=NOW_MS + 500, parked_ms=NOW_MS)).status == "rejected"


@pytest.mark.parametrize("configured", [control(tenant(cache="off")), control(tenant("globex"))])
def test_with_the_cache_off_nothing_is_looked_up_awaited_or_kept(configured: ControlView) -> None:
    mode: dict[str, Any] = {} if configured.tenants["acme"].cache == "off" else {"cache": "off"}
    cache, event = Cache(configured), admitted("r-1", **mode)
    cache.learn(fill_for(event))
    other = Cache()
    led(other.take(admitted("r-0")))
    cache.learn(other.log[0])

    (asked,) = forwarded(cache.take(event))

    assert isinstance(asked.event, Miss)
    assert asked.event.slot is None


@pytest.mark.parametrize("configured", [control(tenant(cache="off")), ControlView()], ids=["off", "tenant gone"])
def test_only_never_pays_not_even_where_nothing_is_kept(configured: ControlView) -> None:
    outcome = Cache(configured).take(admitted(cache="only"))

    assert isinstance(outcome, Finish)
    assert outcome.completion.failure is not None
    assert outcome.completion.failure.code == "cache_miss"


def test_a_tenant_removed_meanwhile_is_asked_for_and_nothing_is_kept() -> None:
    (asked,) = forwarded(Cache(ControlView()).take(admitted()))

    assert isinstance(asked.event, Miss)
    assert asked.event.slot is None


def test_a_hit_is_parsed_for_who_asked_for_json() -> None:
    cache = Cache()
    asked = admitted(prompt=prompt(response_format={"type": "json_object"}))
    cache.learn(fill_for(asked))

    cache.learn(fill_for(admitted()))

    assert hit(cache.take(asked)).parse_json
    assert not hit(cache.take(admitted("r-2"))).parse_json


def test_a_single_letter_makes_another_question() -> None:
    cache = Cache()
    cache.learn(fill_for(admitted()))
    other = admitted(text="Is it ripe")
    assert prompt_of(other.prompt).messages == (UserMessage(role="user", content="Is it ripe"),)

    assert isinstance(cache.take(other), Forward)


def test_an_answer_that_is_used_is_written_once_more_before_it_makes_room_and_under_a_key_of_its_own() -> None:
    cache, event = Cache(state=KeptAnswers(max_bytes=16 * 1024)), admitted("r-2")
    cache.learn(fill_for(event))
    for number in range(8):
        cache.learn(fill_for(admitted(text=f"Another question {number}?")))

    outcome = cache.take(event)

    assert isinstance(outcome, Finish)
    (again,) = outcome.records
    assert (again.topic, again.partition_by) == (CACHE, event.namespace)
    assert again.key != slot_of(event).entry, "on a compacted topic it would erase a newer answer"
    assert isinstance(again.event, Fill)
    assert (again.event.again, again.event.expires_at_ms) == (True, NOW_MS + 3_600_000)
    used_again = cache.take(event)
    assert isinstance(used_again, Finish)
    assert used_again.records == (), "not at each use"
