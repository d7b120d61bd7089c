"""Takes in `llm.calls`: books each priced row once, counts how requests end, and passes on what others judge.

A row that comes again, from Kafka or from its writer, changes nothing for as long as `remember_s` says. A kill in the
middle of one row may book that row twice. Bills are made from ClickHouse, not from here.
"""

from collections.abc import Callable
from decimal import Decimal

from schemas.call import PHASE_VERSION, CallRow
from streams.runtime.delivery import Delivery
from streams.watch.answers import ends_a_request, share_alert
from streams.watch.outlet import Outlet
from streams.watch.published import Published
from streams.watch.settings import WatchSettings
from streams.watch.sightings import Sighting, call_seen, unpriced_seen
from streams.watch.spend import booked_usd, daily_alert
from streams.watch.tables import Tables

_TOO_OLD_MS = 86_400_000
"""Rows from before yesterday are history, read by a new installation: nobody is woken for them."""


class Bookkeeper:
    def __init__(
        self, watch: WatchSettings, tables: Tables, published: Published, outlet: Outlet, now_ms: Callable[[], int]
    ) -> None:
        self._watch = watch
        self._tables = tables
        self._published = published
        self._outlet = outlet
        self._now_ms = now_ms

    async def take(self, delivery: Delivery) -> str:
        """An intake's handler."""
        row = CallRow.decode(delivery.value or b"")
        age_ms = self._now_ms() - delivery.timestamp_ms
        if age_ms > _TOO_OLD_MS:
            return "too_old"
        if row.phase == "started":
            return "started"
        known, phase = self._tables.attempts.phase(row.attempt_id), PHASE_VERSION[row.phase]
        if known >= phase:
            return "repeated"
        if known < PHASE_VERSION["settled"] and age_ms <= self._watch.window_s * 1_000:
            # the last attempt of a request is only ever written priced, the others settled first
            await self._pass_on(call_seen(row), delivery)
        if row.phase == "priced":
            await self._pass_on(unpriced_seen(row), delivery)
            await self._book(row, delivery.timestamp_ms)
        self._tables.attempts.reached(row.attempt_id, phase)
        return row.phase

    async def _pass_on(self, sighting: Sighting | None, delivery: Delivery) -> None:
        if sighting is not None:
            await self._outlet.sight(sighting, delivery.timestamp_ms)

    async def _book(self, row: CallRow, written_at_ms: int) -> None:
        """An alert goes out before it is remembered: after a crash in between it goes out twice, not never."""
        usd = booked_usd(row)
        if usd is not None:
            await self._book_spend(row.tenant_id, usd, written_at_ms)
        if ends_a_request(row):
            await self._count_answer(row)

    async def _book_spend(self, tenant: str, usd: Decimal, written_at_ms: int) -> None:
        self._published.refresh()
        minute = self._tables.spend_minute.current(tenant).plus(usd)
        day = self._tables.spend_day.current(tenant).plus(usd)
        limit = self._published.spend_limit_usd(tenant)
        alert = daily_alert(tenant, day, minute, limit, written_at_ms=written_at_ms, now_ms=self._now_ms())
        if alert is not None:
            await self._outlet.alert(alert)
            day = day.told()
        self._tables.spend_minute.put(tenant, minute)
        self._tables.spend_day.put(tenant, day)

    async def _count_answer(self, row: CallRow) -> None:
        answers = self._tables.answers.current(row.tenant_id).with_row(row)
        alert = share_alert(
            row.tenant_id,
            answers,
            min_requests=self._watch.error_min_requests,
            share=self._watch.error_share,
            now_ms=self._now_ms(),
        )
        if alert is not None:
            await self._outlet.alert(alert)
            answers = answers.told()
        self._tables.answers.put(row.tenant_id, answers)
