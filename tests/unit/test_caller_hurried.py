"""A request with little time finds out nothing about a deployment: what ran out was its deadline."""

import pytest

from schemas.call import CallNews
from schemas.flow import Dispatch
from streams.providers.protocol import NotSent, ProviderError, TurnedAway
from streams.providers.refusal import Refusal, verdict
from streams.watch.health import verdict_on
from tests.unit.calling import LOST, WRITE_MS, World, world
from tests.unit.examples import NOW_MS, dispatch, ticket

TIMEOUT_MS = 15_000
GATEWAY = verdict(Refusal(status=504, http_status=504))


def too_late_to_connect() -> NotSent:
    error = NotSent("connection", "The provider cannot be reached: check `base_url` and the network.")
    error.cut_short = True
    return error


def asked(within_ms: int | None) -> Dispatch:
    deadline_ms = None if within_ms is None else NOW_MS + within_ms
    return dispatch(ticket_=ticket(deadline_ms=deadline_ms), max_attempts=1, timeout_ms=TIMEOUT_MS)


async def seen(here: World, within_ms: int | None) -> tuple[bool, str | None]:
    """What the row of its only attempt says, and what `watch` makes of it."""
    caller = here.caller()
    (made,) = (await caller.complete(asked(within_ms), here.book)).attempts
    news = CallNews.decode(caller.settled_row(asked(within_ms), made).encode())
    return made.hurried, verdict_on(news)


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [LOST, too_late_to_connect()], ids=["no answer", "no connection"])
async def test_time_that_ran_out_early_is_not_held_against_the_deployment(error: ProviderError) -> None:
    assert await seen(world(error), within_ms=500) == (True, None)


@pytest.mark.asyncio
@pytest.mark.parametrize("within_ms", [None, TIMEOUT_MS + WRITE_MS])
@pytest.mark.parametrize("error", [LOST, too_late_to_connect()], ids=["no answer", "no connection"])
async def test_who_had_all_the_time_of_its_route_has_seen_a_failure(error: ProviderError, within_ms: int) -> None:
    assert await seen(world(error), within_ms) == (False, "failed")


@pytest.mark.asyncio
async def test_time_that_was_used_up_by_writing_the_row_counts_as_gone_too() -> None:
    assert await seen(world(LOST), within_ms=TIMEOUT_MS + WRITE_MS - 1) == (True, None)


@pytest.mark.asyncio
async def test_a_question_that_was_not_sent_for_want_of_time_says_nothing_of_the_provider() -> None:
    here = world()

    assert await seen(here, within_ms=WRITE_MS) == (True, None)
    assert here.events == ["started attempt-1"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "error",
    [
        GATEWAY,
        NotSent("connection", "The provider cannot be reached: check `base_url` and the network."),
        TurnedAway("overloaded", "The provider refused (HTTP 529): it is overloaded; wait.", http_status=529),
    ],
    ids=["gateway", "refused", "overloaded"],
)
async def test_what_the_provider_did_itself_counts_however_little_time_there_was(error: ProviderError) -> None:
    assert await seen(world(error), within_ms=500) == (False, "failed")
