"""Everything `watch` writes for others to read."""

from collections.abc import Callable
from typing import Any, assert_never, cast

import faust

from schemas.alert import Alert
from schemas.base import Event
from schemas.control import Breaker, Slowdown, control_key
from schemas.money import SpendStop
from schemas.routing import Latency
from schemas.topics import ALERTS, CONTROL, DEAD_LETTERS
from streams.observe.logs import logger
from streams.observe.metrics import Metrics
from streams.runtime.deadletter import dead_letter_headers
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import DeadLetter
from streams.settings import KafkaSettings
from streams.watch.connection import STAGE
from streams.watch.sightings import Sighted

log = logger(__name__)

_SIGHTINGS_KEEP_MS = 3_600_000


def raw_topic(app: faust.App, name: str, **options: Any) -> Any:
    """A topic of bytes. Empty values pass, so that our own code meets them and not Faust's decoder, which gives up
    on them. Faust leaves its key and value types open, hence Any.
    """
    return cast("Any", app).topic(name, key_type=bytes, value_type=bytes, allow_empty=True, **options)


class Outlet:
    """But for `sight`, each method returns once the broker has the record, and raises FaustError or KafkaError when
    it cannot have it: the event that caused it must then not be acknowledged.
    """

    def __init__(self, app: faust.App, kafka: KafkaSettings, metrics: Metrics, now_ms: Callable[[], int]) -> None:
        self._metrics = metrics
        self._now_ms = now_ms
        self._control = raw_topic(app, kafka.topic(CONTROL))
        self._alerts = raw_topic(app, kafka.topic(ALERTS))
        self._dead_letters = raw_topic(app, kafka.topic(DEAD_LETTERS))
        self.sightings = raw_topic(
            app,
            f"{kafka.group(STAGE)}-sightings",
            internal=True,
            partitions=kafka.partitions,
            replicas=kafka.replication,
            config={"retention.ms": str(_SIGHTINGS_KEEP_MS), "min.insync.replicas": str(kafka.min_insync)},
        )

    async def publish(self, news: Breaker | Slowdown | Latency | SpendStop) -> int:
        """The offset the object's new state has on `llm.control`."""
        match news:
            case Breaker():
                log.info("breaker_changed", deployment=news.name, state=news.state, until_ms=news.until_ms)
            case Latency():
                log.debug("latency_moved", deployment=news.name, p50_ms=news.p50_ms, p95_ms=news.p95_ms)
            case Slowdown():
                log.info(
                    "pace_changed", deployment=news.name, per_minute=news.requests_per_minute, until_ms=news.until_ms
                )
            case SpendStop():
                log.warning("spend_stopped", tenant=news.name, since_ms=news.since_ms, until_ms=news.until_ms)
            case _ as unreachable:
                assert_never(unreachable)
        return await self._confirmed(self._control, control_key(news), news)

    async def alert(self, alert: Alert) -> None:
        log.warning("alert", alert=alert.alert, subject=alert.subject, message=alert.message)
        await self._confirmed(self._alerts, alert.subject, alert)
        self._metrics.count("millrace_alerts_total", alert.alert)

    async def bury(self, delivery: Delivery, letter: DeadLetter) -> None:
        """The original key and value, byte for byte."""
        log.error(
            "gave_up",
            reason=letter.reason,
            problem=letter.detail,
            topic=delivery.topic,
            partition=delivery.partition,
            offset=delivery.offset,
        )
        headers = dead_letter_headers(delivery, STAGE, letter, self._now_ms())
        await (await self._dead_letters.send(key=delivery.key, value=delivery.value, headers=headers))
        self._metrics.count("millrace_dead_letters_total", STAGE, letter.reason)

    async def sight(self, sighting: Sighted, written_at_ms: int) -> None:
        """Not confirmed: Faust flushes before it commits, and what the broker refuses for as long as a delivery may
        take would be older than any window by the time it arrived.
        """
        await self.sightings.send(
            key=sighting.subject.encode(),
            value=sighting.value,
            headers=sighting.headers,
            timestamp=written_at_ms / 1_000,
        )

    async def _confirmed(self, topic: Any, key: str, event: Event) -> int:
        metadata = await (await topic.send(key=key.encode(), value=event.encode()))
        return int(metadata.offset)
