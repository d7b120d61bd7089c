"""More calls than a deployment takes at once: they queue for a place, and waiting there is nobody's failure."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from streams.control import with_object
from streams.invoke.beside import Awaits
from tests.unit.calling import CALL_MS, World, world
from tests.unit.examples import (
    NOW_MS,
    breaker,
    control,
    deployment,
    dispatch,
    ticket,
)


@dataclass
class Crowd:
    """Providers that answer only when told to, and how many were asked at the same time."""

    asking: int = 0
    most: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    queued: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def __call__(self) -> None:
        self.asking += 1
        self.most = max(self.most, self.asking)
        self.asked.release()
        await self.gate.wait()
        self.asking -= 1

    @contextmanager
    def aside(self, _awaits: Awaits) -> Generator[None]:
        self.queued.set()
        yield

    async def await_queued(self) -> None:
        async with asyncio.timeout(5):
            await self.queued.wait()

    async def await_asked(self, times: int) -> None:
        async with asyncio.timeout(5):
            for _ in range(times):
                await self.asked.acquire()


def crowded(limit: int, crowd: Crowd) -> World:
    return world(control=control(deployment("openai-1", max_concurrency=limit)), before_asking=crowd)


@pytest.mark.asyncio
async def test_more_calls_than_a_deployment_takes_at_once_queue_and_all_succeed() -> None:
    crowd = Crowd()
    here = crowded(2, crowd)
    caller = here.caller()
    calls = [asyncio.create_task(caller.complete(dispatch(ticket_=ticket(f"r-{n}")), here.book)) for n in range(5)]
    await crowd.await_asked(2)
    started = len(here.rows)

    crowd.gate.set()

    assert [(await call).status for call in calls] == ["ok"] * 5
    assert started == 2, "who queues has no row yet"
    assert crowd.most == 2


@pytest.mark.asyncio
async def test_the_wait_for_a_place_is_not_the_providers_time() -> None:
    crowd = Crowd()
    here = crowded(1, crowd)
    caller = here.caller()
    first = asyncio.create_task(caller.complete(dispatch(), here.book))
    await crowd.await_asked(1)
    second = asyncio.create_task(caller.complete(dispatch(), here.book, crowd.aside))
    await crowd.await_queued()

    here.now_ms += 60_000
    crowd.gate.set()
    await first

    (made,) = (await second).attempts
    assert (made.ended_at_ms or 0) - made.started_at_ms == CALL_MS


@pytest.mark.asyncio
async def test_a_raised_limit_holds_for_whoever_comes_next() -> None:
    crowd = Crowd()
    here = crowded(1, crowd)
    caller = here.caller()
    calls = [asyncio.create_task(caller.complete(dispatch(), here.book)) for _ in range(2)]
    await crowd.await_asked(1)

    here.control = control(deployment("openai-1", max_concurrency=3))
    calls.append(asyncio.create_task(caller.complete(dispatch(), here.book)))
    await crowd.await_asked(2)

    assert crowd.asking == 3
    crowd.gate.set()
    await asyncio.gather(*calls)


@pytest.mark.asyncio
async def test_whoever_queues_past_its_deadline_expires_without_a_call_and_keeps_no_place() -> None:
    crowd = Crowd()
    here = crowded(1, crowd)
    caller = here.caller()
    first = asyncio.create_task(caller.complete(dispatch(), here.book))
    await crowd.await_asked(1)
    late = asyncio.create_task(
        caller.complete(dispatch(ticket_=ticket(deadline_ms=NOW_MS + 40)), here.book, crowd.aside)
    )
    await crowd.await_queued()
    here.now_ms = NOW_MS + 40

    assert (await late).status == "expired"
    assert here.phases == [("attempt-1", "started")]
    crowd.gate.set()
    await first
    assert (await caller.complete(dispatch(), here.book)).status == "ok"


@pytest.mark.asyncio
async def test_a_breaker_that_opened_while_one_queued_is_obeyed() -> None:
    crowd = Crowd()
    here = crowded(1, crowd)
    caller = here.caller()
    first = asyncio.create_task(caller.complete(dispatch(), here.book))
    await crowd.await_asked(1)
    second = asyncio.create_task(caller.complete(dispatch(), here.book, crowd.aside))
    await crowd.await_queued()

    here.control = with_object(here.control, breaker(until_ms=NOW_MS + 3_000), 99)
    crowd.gate.set()
    await asyncio.gather(first, second)

    assert here.naps_ms, "the breaker was not waited for"
    assert crowd.most == 1


@pytest.mark.asyncio
async def test_whoever_is_cancelled_in_the_queue_leaves_it_to_the_next() -> None:
    crowd = Crowd()
    here = crowded(1, crowd)
    caller = here.caller()
    calls = [asyncio.create_task(caller.complete(dispatch(), here.book))]
    await crowd.await_asked(1)
    calls += [asyncio.create_task(caller.complete(dispatch(), here.book, crowd.aside)) for _ in range(2)]
    await crowd.await_queued()

    calls[1].cancel()
    await asyncio.wait([calls[1]])
    crowd.gate.set()

    assert [(await calls[n]).status for n in (0, 2)] == ["ok", "ok"]
    assert len(here.rows) == 2
