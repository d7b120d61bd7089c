"""Takes in sightings: the one writer of each deployment's breaker, and the one to speak about each model.

A sighting that Kafka delivers again, after a crash, counts twice: at most the calls of one commit interval.
"""

from collections.abc import Callable
from typing import assert_never

from schemas.control import Breaker
from streams.runtime.delivery import Delivery
from streams.watch.breaker import after_call, after_time, alert_on
from streams.watch.outlet import Outlet
from streams.watch.published import Published
from streams.watch.settings import BUCKETS, WatchSettings
from streams.watch.sightings import SIGHTING, CallSeen, TimePassed, UnpricedSeen
from streams.watch.tables import Tables
from streams.watch.unpriced import Told, unpriced_alert


class Judge:
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
        sighting = SIGHTING.validate_json(delivery.value or b"")
        if self._now_ms() - delivery.timestamp_ms > self._watch.window_s * 1_000:
            return "too_old"
        match sighting:
            case CallSeen():
                await self._judge_call(sighting, delivery.timestamp_ms)
            case TimePassed():
                before = self._known(sighting.subject)
                await self._change(before, after_time(before, self._now_ms()))
            case UnpricedSeen():
                await self._tell_unpriced(sighting)
            case _ as unreachable:
                assert_never(unreachable)
        return sighting.kind

    async def _judge_call(self, seen: CallSeen, written_at_ms: int) -> None:
        before = self._known(seen.subject)
        buckets = self._tables.health.last(seen.subject, self._buckets_since(before, written_at_ms))
        judgement = after_call(before, seen.call, buckets, self._now_ms(), self._watch.thresholds)
        await self._change(before, judgement.breaker)
        if judgement.bucket is not None:
            self._tables.health.put(seen.subject, judgement.bucket)

    def _buckets_since(self, breaker: Breaker, written_at_ms: int) -> int:
        """How many buckets of the window end after the breaker's last change; at least the newest."""
        bucket_ms = self._watch.bucket_s * 1_000
        newest, oldest = written_at_ms // bucket_ms, breaker.since_ms // bucket_ms
        return min(BUCKETS, max(1, newest - oldest + 1))

    async def _change(self, before: Breaker, after: Breaker) -> None:
        """The alert goes out first: after a crash in between it goes out twice, not never."""
        if after is before:
            return
        alert = alert_on(before, after, self._watch.thresholds, self._now_ms())
        if alert is not None:
            await self._outlet.alert(alert)
        self._published.wrote(after, await self._outlet.publish(after))

    async def _tell_unpriced(self, seen: UnpricedSeen) -> None:
        if not self._tables.unpriced.current(seen.subject).alerted:
            await self._outlet.alert(unpriced_alert(seen, self._now_ms()))
            self._tables.unpriced.put(seen.subject, Told(alerted=True))

    def _known(self, deployment: str) -> Breaker:
        self._published.refresh()
        return self._published.breaker(deployment)
