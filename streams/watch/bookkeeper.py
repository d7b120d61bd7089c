"""Takes in `llm.calls`: books each priced row once, counts how requests end, and passes on what others judge.

A row that comes again, from Kafka or from its writer, changes nothing for as long as `remember_s` says. A kill in the
middle of one batch may book that batch twice. Bills are made from ClickHouse, not from here.
"""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal

from schemas.alert import Alert
from schemas.call import PHASE_VERSION, CallNews
from streams.runtime.delivery import Delivery
from streams.watch.answers import AnswersTally, ends_a_request, share_alert
from streams.watch.attempts import batch_key, digest_of
from streams.watch.draft import Tallies
from streams.watch.outlet import Outlet
from streams.watch.published import Published
from streams.watch.rate import rated_usd, stop_alert
from streams.watch.rates import Norms, PageOfRates
from streams.watch.settings import WatchSettings
from streams.watch.sightings import call_seen, unpriced_seen
from streams.watch.sights import Sights
from streams.watch.spend import SpendTally, booked_usd, daily_alert
from streams.watch.tables import Tables

_TOO_OLD_MS = 86_400_000
"""Rows from before yesterday are history, read by a new installation: nobody is woken for them."""
_ONLY_STARTED = b'"phase":"started"'
_HEAD_BYTES = 48
"""The phase is among the first fields of a row. Further on there are labels, whose names are the sender's."""


def has_only_started(value: bytes) -> bool:
    """Half of all rows, and of no interest here: found without reading them. False may still be one of them."""
    return _ONLY_STARTED in value[:_HEAD_BYTES]


class Bookkeeper:
    def __init__(
        self, watch: WatchSettings, tables: Tables, published: Published, outlet: Outlet, now_ms: Callable[[], int]
    ) -> None:
        self.watch = watch
        self.tables = tables
        self.published = published
        self.outlet = outlet
        self.now_ms = now_ms
        self.norms = Norms(tables.spend_minute.at)

    def open(self) -> "RowsPage":
        self.published.refresh()
        return RowsPage(self)


class RowsPage:
    """An intake's page. What a row says is worked out before anything is noted: one that raises has noted nothing."""

    def __init__(self, desk: Bookkeeper) -> None:
        self.outcomes: Counter[str] = Counter()
        self._desk = desk
        self._now_ms = desk.now_ms()
        self._minute = Tallies(desk.tables.spend_minute, SpendTally)
        self._day = Tallies(desk.tables.spend_day, SpendTally)
        self._answers = Tallies(desk.tables.answers, AnswersTally)
        self._rates = PageOfRates(desk.tables, desk.published, desk.norms, self._now_ms)
        self._reached: dict[bytes, int] = {}
        self._offsets: list[int] = []
        self._alerts: list[Alert] = []
        self._sights = Sights(desk.watch.bucket_s * 1_000)

    def take(self, delivery: Delivery) -> None:
        self.outcomes[self._taken(delivery)] += 1

    def _taken(self, delivery: Delivery) -> str:
        value = delivery.value or b""
        row = None if has_only_started(value) else CallNews.decode(value)
        age_ms = self._now_ms - delivery.timestamp_ms
        if age_ms > _TOO_OLD_MS:
            return "too_old"
        if row is None or row.phase == "started":
            return "started"
        digest, phase = digest_of(row.attempt_id), PHASE_VERSION[row.phase]
        known = self._reached.get(digest) or self._desk.tables.attempts.phase(digest)
        if known >= phase:
            return "repeated"
        # the last attempt of a request is only ever written priced, the others settled first
        is_news = known < PHASE_VERSION["settled"] and age_ms <= self._desk.watch.window_s * 1_000
        call, unpriced, usd = call_seen(row) if is_news else None, unpriced_seen(row), booked_usd(row)
        rated = rated_usd(row)
        if rated is not None:
            self._rates.spent(row.tenant_id, rated, delivery.timestamp_ms)
        if usd is not None:
            self._book_spend(row.tenant_id, usd, delivery.timestamp_ms)
        if ends_a_request(row):
            self._count_answer(row, delivery.timestamp_ms)
        if call is not None and row.deployment is not None:
            self._sights.call(row.deployment, call, delivery.timestamp_ms)
        if unpriced is not None:
            self._sights.unpriced(unpriced, delivery.timestamp_ms)
        self._reached[digest] = phase
        self._offsets.append(delivery.offset)
        return row.phase

    async def close(self) -> None:
        """An alert goes out before it is remembered: after a crash in between it goes out twice, not never."""
        for alert in self._alerts:
            await self._desk.outlet.alert(alert)
        for stop in self._rates.stops:
            await self._desk.outlet.alert(stop_alert(stop, self._now_ms))
            self._desk.published.wrote(stop, await self._desk.outlet.publish(stop))
        for sighted, written_at_ms in self._sights.together():
            await self._desk.outlet.sight(sighted, written_at_ms)
        for tallies in (self._minute, self._day, self._answers):
            tallies.write()
        self._rates.write()
        if self._reached:
            key = batch_key(self._offsets[0], self._offsets[-1])
            self._desk.tables.attempts.reached(key, self._reached)

    def _book_spend(self, tenant: str, usd: Decimal, written_at_ms: int) -> None:
        minute, day = self._minute.at(tenant, written_at_ms), self._day.at(tenant, written_at_ms)
        minute.usd += usd
        day.usd += usd
        limit = self._desk.published.spend_limit_usd(tenant)
        alert = daily_alert(tenant, day, minute, limit, written_at_ms=written_at_ms, now_ms=self._now_ms)
        if alert is not None:
            self._alerts.append(alert)
            day.alerted = True

    def _count_answer(self, row: CallNews, written_at_ms: int) -> None:
        answers = self._answers.at(row.tenant_id, written_at_ms)
        answers.count(row)
        alert = share_alert(
            row.tenant_id,
            answers,
            min_requests=self._desk.watch.error_min_requests,
            share=self._desk.watch.error_share,
            now_ms=self._now_ms,
        )
        if alert is not None:
            self._alerts.append(alert)
            answers.alerted = True
