"""Takes in sightings: the one writer of each deployment's breaker and slowdown, and the one to speak about each model.

A sighting that Kafka delivers again, after a crash, counts twice: at most the calls of one commit interval.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import assert_never

from schemas.alert import Alert
from schemas.control import Breaker, Slowdown
from schemas.routing import Latency
from streams.runtime.delivery import Delivery
from streams.watch.breaker import Call, after_calls, after_time, alert_on
from streams.watch.draft import Draft
from streams.watch.health import Bucket
from streams.watch.latency import moved
from streams.watch.outlet import Outlet
from streams.watch.published import Published
from streams.watch.settings import BUCKETS, WatchSettings
from streams.watch.sightings import SIGHTING, CallSeen, TimePassed, UnpricedSeen, calls_in, times_in
from streams.watch.slowdown import after_refusal, answered_per_minute, is_overrun
from streams.watch.slowdown import after_time as paced
from streams.watch.tables import Tables
from streams.watch.unpriced import Told, unpriced_alert

_RECENT = 2
"""Buckets: the one that fills, and the one before it."""


class Judge:
    def __init__(
        self, watch: WatchSettings, tables: Tables, published: Published, outlet: Outlet, now_ms: Callable[[], int]
    ) -> None:
        self.watch = watch
        self.tables = tables
        self.published = published
        self.outlet = outlet
        self.now_ms = now_ms

    def open(self) -> "SightingsPage":
        self.published.refresh()
        return SightingsPage(self)


class SightingsPage:
    """An intake's page."""

    def __init__(self, desk: Judge) -> None:
        self.outcomes: Counter[str] = Counter()
        self._desk = desk
        self._now_ms = desk.now_ms()
        self._health, self._unpriced = Draft(desk.tables.health), Draft(desk.tables.unpriced)
        self._breakers: dict[str, Breaker] = {}
        self._latencies: dict[str, Latency] = {}
        self._slowdowns: dict[str, Slowdown] = {}
        self._news: list[Alert | Breaker | Slowdown] = []

    def take(self, delivery: Delivery) -> None:
        sighting = SIGHTING.validate_json(delivery.value or b"")
        is_late = self._now_ms - delivery.timestamp_ms > self._desk.watch.window_s * 1_000
        match sighting:
            case CallSeen():
                calls = calls_in(sighting, delivery.headers)
                times = len(calls)
                if not is_late:
                    self._judge_calls(sighting.subject, calls, delivery.timestamp_ms)
                    self._slow_down(sighting.subject, calls, delivery.timestamp_ms)
            case TimePassed():
                times = 1
                if not is_late:
                    before = self._known(sighting.subject)
                    self._change(before, after_time(before, self._now_ms))
                    self._speed_up(sighting.subject)
            case UnpricedSeen():
                times = times_in(delivery.headers)
                if not is_late:
                    self._tell_unpriced(sighting, delivery.timestamp_ms)
            case _ as unreachable:
                assert_never(unreachable)
        self.outcomes["too_old" if is_late else sighting.kind] += times

    async def close(self) -> None:
        """Alerts go out first: after a crash in between they go out twice, not never."""
        for news in (*self._news, *self._latencies.values()):
            match news:
                case Alert():
                    await self._desk.outlet.alert(news)
                case Breaker() | Slowdown() | Latency():
                    self._desk.published.wrote(news, await self._desk.outlet.publish(news))
                case _ as unreachable:
                    assert_never(unreachable)
        self._health.write()
        self._unpriced.write()

    def _judge_calls(self, deployment: str, calls: Sequence[Call], written_at_ms: int) -> None:
        while calls:
            before = self._known(deployment)
            buckets = self._health.last(deployment, written_at_ms, self._buckets_since(before, written_at_ms))
            judgement = after_calls(before, calls, buckets, self._now_ms, self._desk.watch.thresholds)
            self._change(before, judgement.breaker)
            if judgement.bucket is not None:
                self._health.put(deployment, written_at_ms, judgement.bucket)
                self._time(deployment, judgement.bucket, buckets)
            calls = judgement.rest

    def _time(self, deployment: str, newest: Bucket, buckets: Sequence[Bucket]) -> None:
        if not self._desk.published.is_timed(deployment):
            return
        before = self._desk.published.latency(deployment)
        after = moved(deployment, before, (newest, *buckets[1:]), self._now_ms)
        if after is not None:
            self._latencies[deployment] = after

    def _slow_down(self, deployment: str, calls: Sequence[Call], written_at_ms: int) -> None:
        refused_ms = max((call.started_at_ms for call in calls if call.verdict == "limited"), default=None)
        if refused_ms is None:
            return
        buckets = self._health.last(deployment, written_at_ms, BUCKETS)
        if not is_overrun(buckets[:_RECENT]):
            return
        per_minute = answered_per_minute(buckets, self._desk.watch.bucket_s)
        before = self._known_slowdown(deployment)
        self._pace(before, after_refusal(before, deployment, per_minute, refused_ms, self._now_ms))

    def _speed_up(self, deployment: str) -> None:
        before = self._known_slowdown(deployment)
        if before is not None:
            self._pace(before, paced(before, self._now_ms))

    def _pace(self, before: Slowdown | None, after: Slowdown | None) -> None:
        if after is not None and after is not before:
            self._slowdowns[after.name] = after
            self._news.append(after)

    def _known_slowdown(self, deployment: str) -> Slowdown | None:
        return self._slowdowns.get(deployment) or self._desk.published.slowdown(deployment)

    def _buckets_since(self, breaker: Breaker, written_at_ms: int) -> int:
        """How many buckets of the window end after the breaker's last change; at least the newest."""
        bucket_ms = self._desk.watch.bucket_s * 1_000
        newest, oldest = written_at_ms // bucket_ms, breaker.since_ms // bucket_ms
        return min(BUCKETS, max(1, newest - oldest + 1))

    def _change(self, before: Breaker, after: Breaker) -> None:
        if after is before:
            return
        self._breakers[after.name] = after
        alert = alert_on(before, after, self._desk.watch.thresholds, self._now_ms)
        self._news += [after] if alert is None else [alert, after]

    def _tell_unpriced(self, seen: UnpricedSeen, written_at_ms: int) -> None:
        if not self._unpriced.at(seen.subject, written_at_ms).alerted:
            self._news.append(unpriced_alert(seen, self._now_ms))
            self._unpriced.put(seen.subject, written_at_ms, Told(alerted=True))

    def _known(self, deployment: str) -> Breaker:
        return self._breakers.get(deployment) or self._desk.published.breaker(deployment)
