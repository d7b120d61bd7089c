"""The two agents of `watch` over tables in memory, and an outlet that writes everything down."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from faust.exceptions import ProducerSendError
from msgspec.structs import replace as changed

from schemas.alert import Alert
from schemas.base import Event
from schemas.call import CallRow
from schemas.control import Breaker, Slowdown, Tenant
from schemas.money import SpendStop
from schemas.routing import Latency
from streams.control import ControlView
from streams.runtime.delivery import Delivery
from streams.watch.answers import Answers
from streams.watch.bookkeeper import Bookkeeper
from streams.watch.health import Bucket
from streams.watch.intake import Page
from streams.watch.judge import Judge
from streams.watch.published import Published, Written
from streams.watch.settings import WatchSettings
from streams.watch.sightings import (
    SIGHTING,
    CallSeen,
    Sighted,
    Sighting,
    alone,
)
from streams.watch.spend import Spend
from streams.watch.tables import Tables
from streams.watch.unpriced import Told

NOW_MS = 1_795_000_000_000
SETTINGS = WatchSettings(window_s=30, open_s=10)
E = TypeVar("E", bound=Event)


class MemoryWindows(Generic[E]):
    def __init__(self, empty: E, span_ms: int) -> None:
        self._empty = empty
        self.span_ms = span_ms
        self.kept: dict[tuple[str, int], bytes] = {}
        self.writes = 0

    def at(self, key: str, time_ms: int) -> E:
        value = self.kept.get((key, time_ms // self.span_ms))
        return type(self._empty).decode(value) if value else self._empty

    def put(self, key: str, time_ms: int, event: E) -> None:
        self.writes += 1
        self.kept[key, time_ms // self.span_ms] = event.encode()


class MemoryAttempts:
    def __init__(self) -> None:
        self._phases: dict[bytes, int] = defaultdict(int)
        self.keys: list[str] = []

    def phase(self, digest: bytes) -> int:
        return self._phases[digest]

    def reached(self, key: str, attempts: dict[bytes, int]) -> None:
        self.keys.append(key)
        self._phases |= attempts


@dataclass
class Clock:
    now_ms: int = NOW_MS
    written_at_ms: int = NOW_MS


class MemoryTables:
    def __init__(self) -> None:
        self.attempts = MemoryAttempts()
        self.health = MemoryWindows(Bucket(), SETTINGS.bucket_s * 1_000)
        self.unpriced = MemoryWindows(Told(), 3_600_000)
        self.spend_rate = MemoryWindows(Spend(), 10_000)
        self.spend_minute = MemoryWindows(Spend(), 60_000)
        self.spend_day = MemoryWindows(Spend(), 86_400_000)
        self.answers = MemoryWindows(Answers(), 300_000)


class NotingOutlet:
    """`said` has, in order, everything that would have been written; `refusals` are raised instead, once each."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.published: list[Written] = []
        self.alerts: list[Alert] = []
        self.sightings: list[Sighting] = []
        self.sighted: list[tuple[Sighted, int]] = []
        self.refusals: list[str] = []

    def _say(self, what: str) -> None:
        if what in self.refusals:
            self.refusals.remove(what)
            raise ProducerSendError(what)
        self.said.append(what)

    async def publish(self, news: Written) -> int:
        match news:
            case Breaker():
                self._say(f"breaker {news.name} {news.state}")
            case Slowdown():
                self._say(f"slowdown {news.name} {news.requests_per_minute}/{news.goal_per_minute}")
            case Latency():
                self._say(f"latency {news.name}")
            case SpendStop():
                self._say(f"stop {news.name}")
        self.published.append(news)
        return len(self.said)

    async def alert(self, alert: Alert) -> None:
        self._say(f"alert {alert.alert} {alert.subject}")
        self.alerts.append(alert)

    async def sight(self, sighted: Sighted, written_at_ms: int) -> None:
        self.sighted.append((sighted, written_at_ms))
        self.sightings.append(SIGHTING.validate_json(sighted.value))


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
        self.tables = MemoryTables()
        self.outlet = NotingOutlet()
        given = (SETTINGS, cast("Tables", self.tables), published, cast("Any", self.outlet), lambda: self.clock.now_ms)
        self._bookkeeper = Bookkeeper(*given)
        self._judge = Judge(*given)
        self._offset = 0

    async def row(self, row: CallRow) -> str:
        (outcome,) = await self.rows(row)
        return outcome

    async def rows(self, *rows: CallRow) -> Counter[str]:
        """As one batch."""
        return await self._turned(self._bookkeeper.open(), [self.delivery_of(row) for row in rows])

    async def sighting(self, sighting: Sighting) -> str:
        (outcome,) = await self.sighted((alone(sighting), self.clock.written_at_ms))
        return outcome

    async def sighted(self, *records: tuple[Sighted, int]) -> Counter[str]:
        """As one batch."""
        deliveries = [
            changed(self.delivery_of(None), value=record.value, headers=tuple(record.headers), timestamp_ms=at_ms)
            for record, at_ms in records
        ]
        return await self._turned(self._judge.open(), deliveries)

    def page_of_rows(self) -> Page:
        return self._bookkeeper.open()

    async def _turned(self, page: Page, deliveries: list[Delivery]) -> Counter[str]:
        for delivery in deliveries:
            page.take(delivery)
        await page.close()
        return page.outcomes

    async def call(self, verdict: str, *, begun_ms: int = 0) -> str:
        seen = {"subject": "openai-1", "verdict": verdict, "started_at_ms": self.clock.now_ms - begun_ms}
        return await self.sighting(CallSeen.model_validate({**seen, "provider_ms": 50}))

    def pass_time(self, milliseconds: int) -> None:
        self.clock.now_ms += milliseconds
        self.clock.written_at_ms = self.clock.now_ms

    def delivery_of(self, row: CallRow | None) -> Delivery:
        self._offset += 1
        value = row.encode() if row else b""
        return Delivery("llm.calls", 0, self._offset, b"acme", value, (), self.clock.written_at_ms)


async def desk_for(*tenants: Tenant) -> Desk:
    published = Published(lambda: FixedFollower(*tenants))
    await published.reread()
    return Desk(published)
