"""One batch of events after the other, each acknowledged only when all of it has been handled or buried.

Faust acknowledges an event when its agent raises, is cancelled or is stopped. So each batch is held by a reference of
our own meanwhile: what has not been handled is not committed, and is delivered again after a restart.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol

from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException
from faust.exceptions import FaustError

from streams.observe.metrics import Metrics
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import DeadLetter
from streams.runtime.spill import Spill, SpilledError
from streams.watch.connection import STAGE
from streams.watch.tables import TableError

NOT_THE_EVENTS_FAULT = (FaustError, KafkaError, KafkaException, TableError, SpilledError)
"""The next event would fare no better: the process must end and start over, or, of a release that spills, end."""


class Page(Protocol):
    """What becomes of one batch: worked out event by event, then written down at once."""

    @property
    def outcomes(self) -> Counter[str]:
        """How many events ended how, to be counted."""
        ...

    def take(self, delivery: Delivery) -> None:
        """Raises ValueError when the event cannot be read. What an event that raises has changed is nothing."""
        ...

    async def close(self) -> None: ...


class EventStream(Protocol):
    def events(self) -> AsyncIterator[Any]: ...


class Graveyard(Protocol):
    async def bury(self, delivery: Delivery, letter: DeadLetter) -> None: ...


class Intake:
    """`finished` counts the events that were handled or buried."""

    def __init__(self, app: Any, graveyard: Graveyard, spill: Spill, metrics: Metrics) -> None:
        self._app = app
        self._graveyard = graveyard
        self._spill = spill
        self._metrics = metrics
        self.finished = 0

    async def take(self, stream: EventStream, open_page: Callable[[], Page]) -> None:
        async for event in stream.events():
            event.message.incref()
            batch: Sequence[Delivery] = event.message.deliveries
            try:
                outcomes = await self._handled(batch, open_page())
            except NOT_THE_EVENTS_FAULT as problem:
                await self._app.crash(problem)
                raise
            for outcome, times in outcomes.items():
                self._metrics.count("millrace_events_total", STAGE, outcome, by=times)
            self.finished += len(batch)
            event.ack()

    async def _handled(self, batch: Sequence[Delivery], page: Page) -> Counter[str]:
        letters: list[tuple[Delivery, DeadLetter]] = []
        for delivery in batch:
            try:
                page.take(delivery)
            except NOT_THE_EVENTS_FAULT:
                raise
            except Exception as problem:  # noqa: BLE001  # a bug met by one event must not cost the others
                reason = "unreadable" if isinstance(problem, ValueError) else "decision_failed"
                letter = DeadLetter(reason, type(problem).__name__)
                self._spill.burying(delivery.topic, reason, letter.detail)
                letters.append((delivery, letter))
            self._spill.finished(delivery.topic)
        for delivery, letter in letters:  # only now: the whole batch is read again when one of them may not be buried
            await self._graveyard.bury(delivery, letter)
        await page.close()
        return page.outcomes + Counter(gave_up=len(letters))
