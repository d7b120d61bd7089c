"""What a provider allows is kept before it has to refuse, and when it does refuse nobody else runs into the same."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from typing_extensions import override

from schemas.control import ProviderLimits
from schemas.flow import Dispatch
from streams.control import with_object
from streams.invoke.reflex import RUN
from streams.invoke.share import Share
from streams.providers.protocol import TurnedAway
from tests.fakes.provider import FakeProvider
from tests.fakes.turns import turns
from tests.unit.calling import CALL_MS, LOST, World, world
from tests.unit.examples import NOW_MS, control, deployment, dispatch, ticket

SECOND_MS = 1_000
DOWN = TurnedAway("server_error", "The provider refused (HTTP 500): try again.", http_status=500)


def limited(*script: Any, **limits: Any) -> World:
    allowed = deployment("openai-1", limits=ProviderLimits(**limits))
    return world(*script, control=control(allowed, deployment("other")))


def named(number: int, *deployments: str, **changes: Any) -> Dispatch:
    return dispatch(*deployments, ticket_=ticket(f"r-{number}"), **changes)


@pytest.mark.asyncio
async def test_calls_beyond_the_rate_wait_before_they_have_a_row_and_none_of_it_is_the_providers_time() -> None:
    here = limited(requests_per_minute=60)
    caller = here.caller()

    made = [(await caller.complete(named(number), here.book)).attempts for number in range(3)]

    started_ms = [attempt.started_at_ms for (attempt,) in made]
    assert all(later - earlier >= SECOND_MS for earlier, later in pairwise(started_ms))
    assert all((attempt.ended_at_ms or 0) - attempt.started_at_ms == CALL_MS for (attempt,) in made)


@pytest.mark.asyncio
async def test_who_waits_for_the_rate_leaves_it_to_the_next_when_it_is_cancelled() -> None:
    here = limited(requests_per_minute=60)
    caller = here.caller()
    await caller.complete(named(0), here.book)
    caller.hold(Share(frozenset(), 2))
    waiting = [asyncio.create_task(caller.complete(named(number), here.book)) for number in (1, 2)]
    await turns()

    waiting[0].cancel()
    await asyncio.wait([waiting[0]])
    caller.hold(Share(frozenset({0, 1}), 2))

    assert (await waiting[1]).status == "ok"
    assert len(here.rows) == 2


@pytest.mark.asyncio
async def test_a_worker_without_partitions_begins_nothing_until_it_has_some() -> None:
    here = limited()
    caller = here.caller()
    caller.hold(Share(frozenset(), 2))
    waiting = asyncio.create_task(caller.complete(named(0), here.book))
    await turns()
    assert here.events == []

    caller.hold(Share(frozenset({1}), 2))

    assert (await waiting).status == "ok"


@pytest.mark.asyncio
async def test_tokens_are_held_by_what_the_answer_may_have_and_the_next_waits_for_them() -> None:
    here = limited(tokens_per_minute=522)  # ten in, and an expected 512 out
    caller = here.caller()

    first = (await caller.complete(named(0), here.book)).attempts[0]
    second = (await caller.complete(named(1), here.book)).attempts[0]

    assert second.started_at_ms - first.started_at_ms >= 60 * SECOND_MS


@pytest.mark.asyncio
@pytest.mark.parametrize(("when_busy", "asked"), [("wait", "openai-1"), ("elsewhere", "other")])
async def test_when_the_limits_are_used_up_the_route_says_whether_to_wait_or_to_ask_elsewhere(
    when_busy: str, asked: str
) -> None:
    here = limited(requests_per_minute=1)
    caller = here.caller()
    await caller.complete(named(0), here.book)

    second = await caller.complete(named(1, "openai-1", "other", when_busy=when_busy), here.book)

    assert [attempt.deployment for attempt in second.attempts] == [asked]


@pytest.mark.asyncio
async def test_nobody_goes_elsewhere_for_a_wait_shorter_than_an_answer_takes_there() -> None:
    here = limited(requests_per_minute=600)
    caller = here.caller()
    await caller.complete(named(0), here.book)

    second = await caller.complete(named(1, "openai-1", "other", when_busy="elsewhere"), here.book)

    assert [attempt.deployment for attempt in second.attempts] == ["openai-1"]


@pytest.mark.asyncio
async def test_after_a_429_everybody_else_goes_elsewhere_for_as_long_as_it_said() -> None:
    told = TurnedAway("rate_limited", "wait", http_status=429, retry_after_ms=3_000)
    here = limited(told)
    caller = here.caller()

    first = await caller.complete(named(0, "openai-1", "other"), here.book)
    second = await caller.complete(named(1, "openai-1", "other"), here.book)
    here.now_ms += 3_000
    third = await caller.complete(named(2, "openai-1", "other"), here.book)

    asked = [[attempt.deployment for attempt in each.attempts] for each in (first, second, third)]
    assert asked == [["openai-1", "other"], ["other"], ["openai-1"]]


@pytest.mark.asyncio
async def test_after_a_429_who_has_nobody_else_waits_and_asks_once() -> None:
    told = TurnedAway("rate_limited", "wait", http_status=429, retry_after_ms=3_000)
    here = limited(told)
    caller = here.caller()

    await caller.complete(named(0, "openai-1", "other"), here.book)
    second = await caller.complete(named(1), here.book)

    (attempt,) = second.attempts
    assert second.status == "ok"
    assert attempt.started_at_ms >= NOW_MS + 3_000


@pytest.mark.asyncio
async def test_after_a_run_of_failures_nobody_asks_there_before_watch_has_said_anything() -> None:
    here = limited(*[DOWN] * RUN)
    caller = here.caller()
    for number in range(RUN):
        await caller.complete(named(number, "openai-1", "other"), here.book)

    next_one = await caller.complete(named(RUN, "openai-1", "other"), here.book)

    assert [attempt.deployment for attempt in next_one.attempts] == ["other"]


@pytest.mark.asyncio
async def test_timeouts_of_requests_in_a_hurry_are_not_held_against_a_deployment() -> None:
    here = limited(*[LOST] * RUN)
    caller = here.caller()
    for number in range(RUN):
        hurried = dispatch("openai-1", ticket_=ticket(f"r-{number}", deadline_ms=here.now_ms + 500), max_attempts=1)
        await caller.complete(hurried, here.book)

    next_one = await caller.complete(named(RUN, "openai-1", "other"), here.book)

    assert [attempt.deployment for attempt in next_one.attempts] == ["openai-1"]


class Yielding(World):
    """Whoever sleeps lets the others run."""

    @override
    async def sleep_s(self, seconds: float) -> None:
        await super().sleep_s(seconds)
        await turns()


@pytest.mark.asyncio
async def test_the_more_urgent_are_asked_first_when_all_wait_for_the_same_deployment() -> None:
    here = Yielding(
        control=control(deployment("openai-1", limits=ProviderLimits(requests_per_minute=60))),
        providers={"openai-1": FakeProvider()},
    )
    caller = here.caller()
    await caller.complete(named(0), here.book)
    order: list[str] = []

    async def ask(name: str, priority: str) -> None:
        await caller.complete(dispatch(ticket_=ticket(name, priority=priority)), here.book)
        order.append(name)

    asking = [asyncio.create_task(ask(*each)) for each in (("l", "low"), ("n", "normal"), ("h", "high"))]
    await asyncio.gather(*asking)

    assert order == ["h", "n", "l"]


@pytest.mark.asyncio
async def test_a_lowered_limit_holds_for_those_who_wait_already() -> None:
    here = limited(requests_per_minute=60)
    caller = here.caller()
    await caller.complete(named(0), here.book)
    lowered = deployment("openai-1", limits=ProviderLimits(requests_per_minute=6))
    here.control = with_object(here.control, lowered, 99)

    await caller.complete(named(1), here.book)
    third = (await caller.complete(named(2), here.book)).attempts[0]

    assert third.started_at_ms >= NOW_MS + 10 * SECOND_MS
