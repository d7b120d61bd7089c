"""The Faust app: two agents, the tables they keep, and a timer for what happens without traffic."""

from collections.abc import Callable
from typing import Any

import faust
from faust.types.tuples import TP

from schemas.topics import CALLS
from streams.observe.health import Progress
from streams.observe.metrics import Metrics
from streams.runtime.follower import ControlFollower
from streams.runtime.kafka import ConfluentClients
from streams.runtime.spill import Spill
from streams.settings import KafkaSettings
from streams.watch.bookkeeper import Bookkeeper
from streams.watch.commits import Commits, CommitsStuckError
from streams.watch.connection import faust_app
from streams.watch.deliveries import Deliveries
from streams.watch.intake import EventStream, Intake
from streams.watch.judge import Judge
from streams.watch.outlet import Outlet, raw_topic
from streams.watch.published import Published
from streams.watch.settings import WatchSettings
from streams.watch.sightings import TimePassed, alone
from streams.watch.tables import Tables
from streams.watch.transport import Transport
from streams.watch.vitals import Vitals

_COMMITTED_WITHIN_S = 60


def watch_app(
    kafka: KafkaSettings,
    watch: WatchSettings,
    spill: Spill,
    *,
    metrics: Metrics,
    progress: Progress,
    now_ms: Callable[[], int],
) -> faust.App:
    """Ready to be run by a faust.Worker. Both agents run once per worker: with more, Faust's commits skip events."""
    app: Any = faust_app(kafka, watch)
    deliveries = Deliveries()
    delivery_s = kafka.delivery_timeout_ms / 1_000
    app.sensors.add(deliveries)
    app.transport = Transport(app, deliveries, delivery_s)
    commits: Commits[TP] = Commits(round(1_000 * (_COMMITTED_WITHIN_S + delivery_s)))
    tables = Tables(app, watch, kafka.min_insync, now_ms)
    outlet = Outlet(app, kafka, metrics, now_ms)
    published = Published(lambda: ControlFollower(ConfluentClients(kafka), kafka))
    intake = Intake(app, outlet, spill, metrics)
    bookkeeper = Bookkeeper(watch, tables, published, outlet, now_ms)
    judge = Judge(watch, tables, published, outlet, now_ms)
    vitals = Vitals(app, metrics, progress)

    async def book(rows: EventStream) -> None:
        await intake.take(rows, bookkeeper.open)

    async def decide(sightings: EventStream) -> None:
        await intake.take(sightings, judge.open)

    async def take_over(*_sender: Any, **_signal: Any) -> None:
        """Faust waits for this before it gives the agents their first event of new partitions."""
        await published.reread()
        await tables.attempts.restore()
        commits.forget()

    async def look_around() -> None:
        now = now_ms()
        try:
            commits.look(now, *vitals.read_and_committed())
        except CommitsStuckError as problem:
            await app.crash(problem)
        if deliveries.refused is not None:
            await app.crash(deliveries.refused)
        vitals.report(published.refresh(), intake.finished)
        for deployment in published.due(now):
            await outlet.sight(alone(TimePassed(subject=deployment)), now)

    async def put_down(*_sender: Any, **_signal: Any) -> None:
        published.close()

    app.agent(raw_topic(app, kafka.topic(CALLS)), name="book")(book)
    app.agent(outlet.sightings, name="decide")(decide)
    app.on_rebalance_complete.connect(take_over)
    app.on_before_shutdown.connect(put_down)
    app.timer(watch.tick_s)(look_around)
    return app
