"""What the two agents do with one record, with tables in memory and an outlet that writes everything down."""

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Generic, TypeVar, cast

import pytest
from faust.exceptions import ProducerSendError

from schemas.base import Event
from schemas.call import CallRow
from schemas.control import Breaker, Tenant
from schemas.usage import Cost
from streams.control import ControlView
from streams.runtime.delivery import Delivery
from streams.watch.answers import Answers
from streams.watch.bookkeeper import Bookkeeper
from streams.watch.health import Bucket
from streams.watch.judge import Judge
from streams.watch.published import Published
from streams.watch.settings import WatchSettings
from streams.watch.sightings import CallSeen, TimePassed, UnpricedSeen
from streams.watch.spend import Spend
from streams.watch.tables import Tables
from streams.watch.unpriced import Told
from tests.fakes.call_rows import call_row, priced

NOW_MS = 1_795_000_000_000
SETTINGS = WatchSettings(window_s=30, open_s=10)
E = TypeVar("E", bound=Event)


class MemoryWindows(Generic[E]):
    """Windows of the time that the test says it is."""

    def __init__(self, empty: E, span_ms: int, clock: "Clock") -> None:
        self._empty = empty
        self._span_ms = span_ms
        self._clock = clock
        self._kept: dict[tuple[str, int], bytes] = {}

    def current(self, key: str) -> E:
        return self.last(key, 1)[0]

    def last(self, key: str, count: int) -> list[E]:
        newest = self._clock.written_at_ms // self._span_ms
        kept = [self._kept.get((key, newest - back)) for back in range(count)]
        return [type(self._empty).decode(value) if value else self._empty for value in kept]

    def put(self, key: str, event: E) -> None:
        self._kept[key, self._clock.written_at_ms // self._span_ms] = event.encode()


class MemoryAttempts:
    def __init__(self) -> None:
        self._phases: dict[str, int] = defaultdict(int)

    def phase(self, attempt_id: str) -> int:
        return self._phases[attempt_id]

    def reached(self, attempt_id: str, phase: int) -> None:
        self._phases[attempt_id] = phase


@dataclass
class Clock:
    now_ms: int = NOW_MS
    written_at_ms: int = NOW_MS


@dataclass
class MemoryTables:
    clock: Clock
    attempts: MemoryAttempts = field(default_factory=MemoryAttempts)

    def __post_init__(self) -> None:
        self.health = MemoryWindows(Bucket(), SETTINGS.bucket_s * 1_000, self.clock)
        self.unpriced = MemoryWindows(Told(), 3_600_000, self.clock)
        self.spend_minute = MemoryWindows(Spend(), 60_000, self.clock)
        self.spend_day = MemoryWindows(Spend(), 86_400_000, self.clock)
        self.answers = MemoryWindows(Answers(), 300_000, self.clock)


class NotingOutlet:
    """`said` has, in order, everything that would have been written; `refusals` are raised instead, once each."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.sightings: list[Event] = []
        self.refusals: list[str] = []

    def _say(self, what: str) -> None:
        if what in self.refusals:
            self.refusals.remove(what)
            raise ProducerSendError(what)
        self.said.append(what)

    async def publish(self, breaker: Breaker) -> int:
        self._say(f"breaker {breaker.name} {breaker.state}")
        return len(self.said)

    async def alert(self, alert: Any) -> None:
        self._say(f"alert {alert.alert} {alert.subject}")

    async def sight(self, sighting: Event, written_at_ms: int) -> None:
        del written_at_ms
        self.sightings.append(sighting)


class FixedFollower:
    """Nothing new ever comes."""

    is_current = True

    def __init__(self, *tenants: Tenant) -> None:
        self.view = ControlView(tenants={tenant.name: tenant for tenant in tenants})

    def follow(self, timeout_s: float = 0) -> bool:
        del timeout_s
        return False

    def close(self) -> None:
        pass


class Desk:
    """A bookkeeper and a judge over the same tables."""

    def __init__(self, published: Published) -> None:
        self.clock = Clock()
        self.tables = MemoryTables(self.clock)
        self.outlet = NotingOutlet()
        given = (SETTINGS, cast("Tables", self.tables), published, cast("Any", self.outlet), lambda: self.clock.now_ms)
        self._bookkeeper = Bookkeeper(*given)
        self._judge = Judge(*given)
        self._offset = 0

    async def row(self, row: CallRow) -> str:
        return await self._bookkeeper.take(self._delivery(row))

    async def sighting(self, sighting: Event) -> str:
        return await self._judge.take(self._delivery(sighting))

    async def call(self, verdict: str, *, begun_ms: int = 0) -> str:
        seen = {"subject": "openai-1", "verdict": verdict, "started_at_ms": self.clock.now_ms - begun_ms}
        return await self.sighting(CallSeen.model_validate({**seen, "provider_ms": 50}))

    def pass_time(self, milliseconds: int) -> None:
        self.clock.now_ms += milliseconds
        self.clock.written_at_ms = self.clock.now_ms

    def _delivery(self, event: Event) -> Delivery:
        self._offset += 1
        return Delivery("llm.calls", 0, self._offset, b"acme", event.encode(), (), self.clock.written_at_ms)


async def desk_for(*tenants: Tenant) -> Desk:
    published = Published(lambda: FixedFollower(*tenants))
    await published.reread()
    return Desk(published)


@pytest.mark.asyncio
async def test_an_attempt_that_is_settled_and_then_priced_is_seen_once_and_booked_once() -> None:
    desk = await desk_for()

    outcomes = [await desk.row(call_row(1, phase)) for phase in ("started", "settled", "settled", "priced", "priced")]

    assert outcomes == ["started", "settled", "repeated", "priced", "repeated"]
    assert [type(sighting) for sighting in desk.outlet.sightings] == [CallSeen]
    assert desk.tables.spend_day.current("acme").usd == Decimal("0.000749501")


@pytest.mark.asyncio
async def test_the_last_attempt_of_a_request_is_seen_although_it_is_only_ever_priced() -> None:
    desk = await desk_for()

    await desk.row(call_row(1, error_class="timeout", request_status="failed"))

    assert [cast("CallSeen", sighting).verdict for sighting in desk.outlet.sightings] == ["failed"]


@pytest.mark.asyncio
async def test_a_settled_row_that_comes_after_the_priced_one_undoes_nothing() -> None:
    desk = await desk_for()

    outcomes = [await desk.row(call_row(1, phase)) for phase in ("priced", "settled", "priced")]

    assert outcomes == ["priced", "repeated", "repeated"]


@pytest.mark.asyncio
async def test_a_row_older_than_the_window_is_booked_but_says_nothing_about_health_now() -> None:
    desk = await desk_for()
    desk.clock.now_ms += 30_001

    assert await desk.row(call_row()) == "priced"

    assert desk.outlet.sightings == []
    assert desk.tables.spend_minute.current("acme").usd > 0


@pytest.mark.asyncio
async def test_nobody_is_woken_for_the_day_before_yesterday() -> None:
    desk = await desk_for(Tenant(name="acme", daily_spend_alert_usd="0"))
    desk.clock.now_ms += 86_400_001

    assert await desk.row(call_row()) == "too_old"
    assert desk.outlet.said == []


@pytest.mark.asyncio
async def test_each_day_has_its_own_alert() -> None:
    desk = await desk_for(Tenant(name="acme", daily_spend_alert_usd="1.5"))
    for number in range(4):
        await desk.row(call_row(number, cost=priced("1")))
    assert desk.outlet.said == ["alert daily_spend tenant/acme"]

    desk.pass_time(86_400_000)
    await desk.row(call_row(5, cost=priced("1")))
    assert len(desk.outlet.said) == 1
    await desk.row(call_row(6, cost=priced("1")))
    assert len(desk.outlet.said) == 2


@pytest.mark.asyncio
async def test_a_row_whose_alert_could_not_be_sent_is_not_remembered_as_booked() -> None:
    desk = await desk_for(Tenant(name="acme", daily_spend_alert_usd="0.5"))
    desk.outlet.refusals.append("alert daily_spend tenant/acme")

    with pytest.raises(ProducerSendError):
        await desk.row(call_row(1, cost=priced("1")))
    assert await desk.row(call_row(1, cost=priced("1"))) == "priced"

    assert desk.outlet.said == ["alert daily_spend tenant/acme"]
    assert desk.tables.spend_day.current("acme").usd == 1


@pytest.mark.asyncio
async def test_a_tenant_whose_requests_fail_is_told_about_once_in_five_minutes() -> None:
    desk = await desk_for()
    for number in range(30):
        await desk.row(call_row(number, request_status="failed", cost=priced("0")))
    assert desk.outlet.said == ["alert error_share tenant/acme"]

    desk.pass_time(300_000)
    for number in range(30, 60):
        await desk.row(call_row(number, request_status="failed", cost=priced("0")))
    assert len(desk.outlet.said) == 2


@pytest.mark.asyncio
async def test_a_model_without_a_price_is_told_once_an_hour() -> None:
    desk = await desk_for()
    assert await desk.row(call_row(1, cost=Cost(status="unpriced"))) == "priced"
    seen = desk.outlet.sightings[-1]
    assert isinstance(seen, UnpricedSeen)

    for _ in range(3):
        await desk.sighting(seen)
    assert desk.outlet.said == ["alert unpriced_model model/gpt-5-mini"]
    desk.pass_time(3_600_000)
    await desk.sighting(seen)
    assert len(desk.outlet.said) == 2


@pytest.mark.asyncio
async def test_trouble_is_told_before_it_is_acted_on_and_both_happen_again_after_a_crash_in_between() -> None:
    desk = await desk_for()
    for _ in range(9):
        await desk.call("failed")
    desk.outlet.refusals.append("breaker openai-1 open")

    with pytest.raises(ProducerSendError):
        await desk.call("failed")
    assert desk.outlet.said == ["alert deployment_unhealthy deployment/openai-1"]
    await desk.call("failed")

    assert desk.outlet.said[1:] == ["alert deployment_unhealthy deployment/openai-1", "breaker openai-1 open"]


@pytest.mark.asyncio
async def test_failures_spread_over_the_whole_window_open_the_breaker() -> None:
    desk = await desk_for()
    for _ in range(10):
        await desk.call("failed")
        desk.pass_time(3_000)

    assert desk.outlet.said[-1] == "breaker openai-1 open"


@pytest.mark.asyncio
async def test_failures_that_have_left_the_window_do_not_count() -> None:
    desk = await desk_for()
    for _ in range(9):
        await desk.call("failed")
    desk.pass_time(30_000)
    for _ in range(9):
        await desk.call("failed")

    assert desk.outlet.said == []


@pytest.mark.asyncio
async def test_what_opened_the_breaker_is_forgotten_when_it_closes() -> None:
    desk = await desk_for()
    for _ in range(10):
        await desk.call("failed")
    desk.pass_time(10_000)
    await desk.sighting(TimePassed(subject="openai-1"))
    await desk.call("answered")
    assert desk.outlet.said[-2:] == ["alert deployment_recovered deployment/openai-1", "breaker openai-1 closed"]

    for _ in range(9):
        await desk.call("failed")
    desk.pass_time(5_000)
    assert desk.outlet.said[-1] == "breaker openai-1 closed"
    await desk.call("failed")
    assert desk.outlet.said[-1] == "breaker openai-1 open"


@pytest.mark.asyncio
async def test_a_sighting_that_comes_late_is_no_evidence() -> None:
    desk = await desk_for()
    desk.clock.now_ms += 30_001

    outcomes = {await desk.call("failed") for _ in range(20)}

    assert outcomes == {"too_old"}
    assert desk.outlet.said == []


@pytest.mark.asyncio
async def test_time_passing_for_a_healthy_deployment_changes_nothing() -> None:
    desk = await desk_for()

    assert await desk.sighting(TimePassed(subject="openai-1")) == "time"
    assert desk.outlet.said == []
