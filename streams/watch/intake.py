"""One event after the other, each acknowledged only when it has been handled or buried.

Faust acknowledges an event when its agent raises, is cancelled or is stopped. So each event is held by a reference of
our own meanwhile: what has not been handled is not committed, and is delivered again after a restart.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException
from faust.exceptions import FaustError

from streams.observe.metrics import Metrics
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import DeadLetter
from streams.watch.connection import STAGE
from streams.watch.tables import TableError

Handler = Callable[[Delivery], Awaitable[str]]
"""Returns the outcome to count. Raises ValueError when the event cannot be read."""

NOT_THE_EVENTS_FAULT = (FaustError, KafkaError, KafkaException, TableError)
"""The next event would fare no better: the process must end and start over."""


class EventStream(Protocol):
    def events(self) -> AsyncIterator[Any]: ...


class Graveyard(Protocol):
    async def bury(self, delivery: Delivery, letter: DeadLetter) -> None: ...


def delivery_of(event: Any) -> Delivery:
    message = event.message
    return Delivery(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key,
        value=message.value,
        headers=tuple(message.headers or ()),
        timestamp_ms=round(message.timestamp * 1_000),
    )


class Intake:
    """`finished` counts the events that were handled or buried."""

    def __init__(self, app: Any, graveyard: Graveyard, metrics: Metrics) -> None:
        self._app = app
        self._graveyard = graveyard
        self._metrics = metrics
        self.finished = 0

    async def take(self, stream: EventStream, handle: Handler) -> None:
        async for event in stream.events():
            event.message.incref()
            try:
                outcome = await self._handled(delivery_of(event), handle)
            except NOT_THE_EVENTS_FAULT as problem:
                await self._app.crash(problem)
                raise
            self._metrics.count("millrace_events_total", STAGE, outcome)
            self.finished += 1
            event.ack()

    async def _handled(self, delivery: Delivery, handle: Handler) -> str:
        try:
            return await handle(delivery)
        except NOT_THE_EVENTS_FAULT:
            raise
        except Exception as problem:  # noqa: BLE001  # a bug met by one event must not cost the others
            reason = "unreadable" if isinstance(problem, ValueError) else "decision_failed"
            await self._graveyard.bury(delivery, DeadLetter(reason, type(problem).__name__))
            return "gave_up"
