"""Why a request went where it went travels from the plan to its response and its rows."""

import pytest
from msgspec.structs import replace

from schemas.call import CallRow
from schemas.flow import Dispatch, Miss, Needs
from schemas.response import Response
from schemas.topics import CALLS, MISSES, RESPONSES
from streams.runtime.stage import Stateless
from streams.stages.cache import decide as look_up
from streams.stages.postprocess import decide as answer
from streams.stages.route import decide as route
from streams.state.given_responses import GivenResponses
from streams.state.kept_answers import KeptAnswers
from tests.fakes.provider import FakeProvider
from tests.unit.calling import BUSY, World
from tests.unit.examples import admitted, completion, forwarded, miss, on, plan, records_of, view
from tests.unit.routing import three

ORDERED = three(order=("cheapest",))


def dispatched(event: Miss) -> Dispatch:
    sent = forwarded(route(event, view(Stateless(), control=ORDERED)))[0].event
    assert isinstance(sent, Dispatch)
    return sent


@pytest.mark.asyncio
async def test_why_it_went_there_is_on_the_response_and_on_the_row() -> None:
    world = World(
        control=ORDERED, providers={"cheap": FakeProvider(BUSY), "middle": FakeProvider(), "dear": FakeProvider()}
    )
    done = await world.complete(dispatched(miss()))

    written = records_of(answer(done, view(GivenResponses(), control=ORDERED, now_ms=world.now_ms)))

    (response,) = on(RESPONSES, written, Response)
    rows = on(CALLS, written, CallRow)
    assert response.route_reason == "default route; cheapest 2/3"
    assert [(row.deployment, row.route_reason) for row in rows] == [
        ("cheap", "default route; cheapest 1/3"),
        ("middle", "default route; cheapest 2/3"),
    ]
    assert {row.route_reason for row in world.rows if row.deployment == "cheap"} == {"default route; cheapest 1/3"}


def test_where_the_routes_own_order_holds_the_rule_that_found_it_is_all_there_is_to_say() -> None:
    event = completion(plan=replace(plan(), reason="task: search"))

    (response,) = on(RESPONSES, records_of(answer(event, view(GivenResponses()))), Response)

    assert response.route_reason == "task: search"


def test_a_request_that_was_never_planned_has_no_reason() -> None:
    event = completion(plan=None, attempts=(), answer=None, status="rejected")

    (response,) = on(RESPONSES, records_of(answer(event, view(GivenResponses()))), Response)

    assert response.route_reason is None


def test_what_a_request_needs_goes_on_with_it_when_it_must_be_asked() -> None:
    event = admitted()
    assert event.summary is not None
    needs = Needs(tools=True)
    event = replace(event, summary=replace(event.summary, needs=needs))

    (asked, *_) = on(MISSES, records_of(look_up(event, view(KeptAnswers()))), Miss)

    assert asked.needs == needs
