"""An expired answer, marked as such, instead of none: from the cache that remembers it to the response that says so."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from schemas.attempt import Attempt
from schemas.cached import Fill, FlightEnded, FlightStarted
from schemas.call import CallRow
from schemas.flow import Completion, Dispatch, Miss, Saved, Stale
from schemas.response import Failure, Response
from schemas.topics import CACHE, CALLS, MISSES, RESPONSES
from schemas.usage import Usage
from streams.control import ControlView
from streams.cost.booking import book
from streams.keeping import fill_of
from streams.providers.protocol import TurnedAway
from streams.runtime.stage import Stateless
from streams.stages import cache, postprocess, route
from streams.state.given_responses import GivenResponses
from streams.state.kept_answers import LARGEST_STALE_BYTES, KeptAnswers
from tests.unit.calling import world
from tests.unit.examples import (
    NOW_MS,
    admitted,
    answer,
    completion,
    control,
    delivery,
    dispatch,
    failed_attempt,
    finished,
    forwarded,
    miss,
    on,
    slot_of,
    tenant,
    ticket,
    view,
)
from tests.unit.examples import route as configured_route

SAVED = Saved(request_id="r-0", usage=Usage(text_output_tokens=5), cost_usd=Decimal("0.000013"))
STALE = Stale(answer=answer("Yes, in June."), saved=SAVED, expired_at_ms=NOW_MS - 60_000)
PATIENT = control(tenant(stale_ttl_s=300))
DOWN = TurnedAway("server_error", "The provider refused (HTTP 500): try again.", http_status=500)
UNAVAILABLE = Failure(code="provider_unavailable", message="openai-1 did not answer", retryable=True)


def remembering(expired_at_ms: int, content: str = "Yes, in June.") -> KeptAnswers:
    slot, state = slot_of(admitted()), KeptAnswers()
    kept = Fill(
        namespace=slot.namespace,
        entry=slot.entry,
        answer=answer(content),
        saved=SAVED,
        stored_at_ms=expired_at_ms - 1_000,
        expires_at_ms=expired_at_ms,
    )
    state.apply(kept, expired_at_ms - 1_000)
    return state


def missed(state: KeptAnswers, configured: ControlView = PATIENT) -> Miss:
    asked = view(state, control=configured, delivery=delivery(timestamp_ms=NOW_MS))
    (event,) = on(MISSES, forwarded(cache.decide(admitted(), asked)), Miss)
    return event


def test_an_expired_answer_travels_with_the_question_where_the_tenant_takes_one() -> None:
    assert missed(remembering(NOW_MS - 60_000)).stale == STALE


@pytest.mark.parametrize(
    ("expired_ms_ago", "configured"), [(300_000, PATIENT), (60_000, control()), (60_000, control(tenant(cache="off")))]
)
def test_none_travels_that_is_too_old_or_that_the_tenant_has_not_asked_for(
    expired_ms_ago: int, configured: ControlView
) -> None:
    assert missed(remembering(NOW_MS - expired_ms_ago), configured).stale is None


def test_a_very_long_answer_does_not_travel() -> None:
    assert missed(remembering(NOW_MS - 60_000, "yes" * LARGEST_STALE_BYTES)).stale is None


@pytest.mark.parametrize(("allows", "carried"), [(True, STALE), (False, None)])
def test_it_goes_no_further_where_the_route_forbids_it(allows: bool, carried: Stale | None) -> None:
    event = replace(miss(), stale=STALE)

    outcome = route.decide(event, view(Stateless(), control=control(configured_route(stale=allows))))

    (record,) = forwarded(outcome)
    assert isinstance(record.event, Dispatch)
    assert record.event.stale == carried


@pytest.mark.asyncio
async def test_when_all_targets_have_failed_it_is_given_with_the_reason_and_what_was_tried() -> None:
    here = world(DOWN)

    given = await here.complete(replace(dispatch(max_attempts=1), stale=STALE))

    assert (given.status, given.cache, given.answer, given.saved) == ("ok", "stale", STALE.answer, SAVED)
    assert given.failure is not None
    assert given.failure.code == "provider_unavailable"
    assert [attempt.error_class for attempt in given.attempts] == ["server_error"]


@pytest.mark.asyncio
async def test_when_no_time_is_left_it_is_given_though_nobody_was_asked() -> None:
    here = world()

    given = await here.complete(replace(dispatch(ticket_=ticket(deadline_ms=NOW_MS)), stale=STALE))

    assert (given.status, given.cache, given.attempts) == ("ok", "stale", ())


def stale_completion(**changes: Any) -> Completion:
    given = completion(answer=STALE.answer, failure=UNAVAILABLE, saved=SAVED, cache="stale", **changes)
    return replace(given, slot=slot_of(admitted()))


def test_the_response_is_marked_and_shows_no_error_and_costs_what_was_tried() -> None:
    tried = stale_completion(attempts=(failed_attempt(),))

    records = forwarded(postprocess.decide(tried, view(GivenResponses())))

    (response,) = [each.event for each in records if each.topic is RESPONSES]
    assert isinstance(response, Response)
    assert (response.status, response.cache, response.error, response.usage) == ("ok", "stale", None, None)
    assert (response.cost_usd, response.saved_usd) == (Decimal(0), SAVED.cost_usd)


@pytest.mark.parametrize("attempts", [(), (failed_attempt(),)], ids=["nobody asked", "asked in vain"])
def test_the_final_row_says_that_it_was_stale_and_what_that_saved(attempts: tuple[Attempt, ...]) -> None:
    records = forwarded(postprocess.decide(stale_completion(attempts=attempts), view(GivenResponses())))

    (row,) = on(CALLS, records, CallRow)
    assert (row.is_final, row.request_status, row.cache, row.saved_usd) == (True, "ok", "stale", SAVED.cost_usd)


def test_it_is_not_kept_as_if_it_were_new_and_those_who_wait_hear_that_the_question_failed() -> None:
    tried = stale_completion(attempts=(failed_attempt(),))

    (ended,) = on(CACHE, forwarded(postprocess.decide(tried, view(GivenResponses()))), FlightEnded)

    assert (ended.status, ended.failure) == ("failed", UNAVAILABLE)
    booked = [book(control(), "acme", tried.plan, each) for each in tried.attempts]
    assert fill_of(tried, booked, NOW_MS) is None, "nor when the cache is put back from the log"


@pytest.mark.parametrize(("configured", "status"), [(PATIENT, "ok"), (control(), "failed")])
def test_whoever_waited_for_a_question_that_failed_is_given_it_too(configured: ControlView, status: str) -> None:
    state, slot = remembering(NOW_MS - 60_000), slot_of(admitted())
    started = FlightStarted(
        namespace=slot.namespace,
        entry=slot.entry,
        identity="acme/r-0",
        started_at_ms=NOW_MS,
        gives_up_at_ms=NOW_MS + 60_000,
    )
    state.apply(started, NOW_MS)
    landed = FlightEnded(
        namespace=slot.namespace,
        entry=slot.entry,
        identity="acme/r-0",
        status="failed",
        failure=UNAVAILABLE,
        ended_at_ms=NOW_MS + 5,
    )
    state.apply(landed, NOW_MS + 5)
    woken = view(state, control=configured, now_ms=NOW_MS + 5, parked_ms=NOW_MS, delivery=delivery(timestamp_ms=NOW_MS))

    given = finished(cache.decide(admitted(), woken))

    assert given.status == status
    assert given.cache == ("stale" if status == "ok" else "coalesced")
