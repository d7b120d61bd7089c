"""When a breaker lets calls through again, one finds out for all."""

import asyncio
from dataclasses import dataclass, field
from typing import Literal

import pytest
from typing_extensions import override

from schemas.control import Breaker
from streams.control import with_object
from tests.fakes.provider import FakeProvider
from tests.unit.calling import World
from tests.unit.examples import NOW_MS, breaker, control, deployment, dispatch, ticket


class PatientWorld(World):
    """While one sleeps the others go on."""

    @override
    async def sleep_s(self, seconds: float) -> None:
        await super().sleep_s(seconds)
        await asyncio.to_thread(int)


@dataclass
class Gate:
    """Holds answers of one deployment back until it is set, and counts who asks it at the same time."""

    here: World
    asking: int = 0
    most: int = 0
    held: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self) -> None:
        if self.here.events[-1] != "ask openai-1":
            return
        self.asking += 1
        self.most = max(self.most, self.asking)
        self.held.set()
        await self.gate.wait()
        self.asking -= 1


def half_open(state: Literal["open", "half_open"]) -> Breaker:
    return breaker(state=state, until_ms=NOW_MS - 1)


def gated(state: Literal["open", "half_open"]) -> tuple[World, Gate]:
    here = PatientWorld(
        control=control(deployment("openai-1"), deployment("other"), half_open(state)),
        providers={"openai-1": FakeProvider(), "other": FakeProvider()},
    )
    gate = Gate(here)
    here.before_asking = gate
    return here, gate


@pytest.mark.asyncio
@pytest.mark.parametrize("state", ["open", "half_open"])
async def test_while_one_probes_who_has_another_target_asks_that_one(state: Literal["open", "half_open"]) -> None:
    here, gate = gated(state)
    caller = here.caller()
    probe = asyncio.create_task(caller.complete(dispatch("openai-1", "other"), here.book))
    async with asyncio.timeout(5):
        await gate.held.wait()

    elsewhere = await caller.complete(dispatch("openai-1", "other", ticket_=ticket("r-2")), here.book)
    gate.gate.set()

    assert [attempt.deployment for attempt in elsewhere.attempts] == ["other"]
    assert [attempt.deployment for attempt in (await probe).attempts] == ["openai-1"]


@pytest.mark.asyncio
async def test_who_has_no_other_target_waits_for_the_probe_and_then_for_its_turn() -> None:
    here, gate = gated("half_open")
    caller = here.caller()
    probe = asyncio.create_task(caller.complete(dispatch(), here.book))
    async with asyncio.timeout(5):
        await gate.held.wait()
    here.while_asleep = gate.gate.set

    waited = await caller.complete(dispatch(ticket_=ticket("r-2")), here.book)

    assert (await probe).status == waited.status == "ok"
    assert here.naps_ms
    assert gate.most == 1


@pytest.mark.asyncio
async def test_when_the_breaker_has_closed_all_ask_at_once_though_the_probe_still_asks() -> None:
    here, gate = gated("half_open")
    caller = here.caller()
    calls = [asyncio.create_task(caller.complete(dispatch(), here.book))]
    async with asyncio.timeout(5):
        await gate.held.wait()
    here.control = with_object(here.control, breaker(state="closed", until_ms=0), 99)
    gate.held.clear()

    calls.append(asyncio.create_task(caller.complete(dispatch(ticket_=ticket("r-2")), here.book)))
    async with asyncio.timeout(5):
        await gate.held.wait()
    gate.gate.set()

    assert [(await call).status for call in calls] == ["ok", "ok"]
    assert gate.most == 2
    assert here.naps_ms == []
