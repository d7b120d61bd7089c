"""Faust acknowledges what an agent fails at; the intake does not let it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from faust.exceptions import ProducerSendError

from streams.observe.metrics import Metrics
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import DeadLetter
from streams.watch.intake import Intake
from streams.watch.tables import TableError


class Record:
    """A record as Faust counts its references: acknowledged when nobody refers to it any more."""

    topic, partition, timestamp, key, headers = "llm.calls", 3, 1_795_000_000.123, b"acme", (("a", b"1"),)

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.value = b"%d" % offset
        self.refcount = 1

    @property
    def acknowledged(self) -> bool:
        return self.refcount == 0

    def incref(self) -> None:
        self.refcount += 1


class StreamEvent:
    def __init__(self, record: Record) -> None:
        self.message = record

    def ack(self) -> None:
        self.message.refcount -= 1


class Stream:
    """Acknowledges an event when its consumer comes back for the next one, raises or is cancelled, as Faust does."""

    def __init__(self, *records: Record) -> None:
        self._records = records

    async def events(self) -> AsyncIterator[StreamEvent]:
        for record in self._records:
            event = StreamEvent(record)
            try:
                yield event
            finally:
                event.ack()


class App:
    def __init__(self) -> None:
        self.crashes: list[BaseException] = []

    async def crash(self, reason: BaseException) -> None:
        self.crashes.append(reason)


class Graveyard:
    def __init__(self, refusal: Exception | None = None) -> None:
        self.buried: list[tuple[int, DeadLetter]] = []
        self._refusal = refusal

    async def bury(self, delivery: Delivery, letter: DeadLetter) -> None:
        if self._refusal is not None:
            raise self._refusal
        self.buried.append((delivery.offset, letter))


async def handle_well(_delivery: Delivery) -> str:
    return "handled"


def raising(problem: BaseException) -> Any:
    async def handle(delivery: Delivery) -> str:
        if delivery.offset == 1:
            raise problem
        return "handled"

    return handle


async def ended(task: asyncio.Future[None]) -> None:
    """Waits for an agent's end and for the `finally` of the stream it has left behind."""
    await asyncio.wait([task])
    await asyncio.get_running_loop().shutdown_asyncgens()


async def drain(intake: Intake, stream: Stream, handle: Any) -> None:
    task = asyncio.ensure_future(intake.take(stream, handle))
    await ended(task)
    task.result()


@pytest.mark.asyncio
async def test_what_has_been_handled_is_acknowledged_and_counted() -> None:
    first, second = Record(0), Record(1)
    intake = Intake(App(), Graveyard(), Metrics())

    await drain(intake, Stream(first, second), handle_well)

    assert first.acknowledged
    assert second.acknowledged
    assert intake.finished == 2


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("problem", "reason"), [(ValueError("bad row"), "unreadable"), (RuntimeError("a bug"), "decision_failed")]
)
async def test_an_event_that_cannot_be_handled_is_buried_and_the_next_one_is_taken(
    problem: Exception, reason: str
) -> None:
    records = Record(0), Record(1), Record(2)
    graveyard = Graveyard()
    intake = Intake(App(), graveyard, Metrics())

    await drain(intake, Stream(*records), raising(problem))

    assert graveyard.buried == [(1, DeadLetter(reason, type(problem).__name__))]
    assert all(record.acknowledged for record in records)


@pytest.mark.asyncio
@pytest.mark.parametrize("problem", [ProducerSendError("no broker"), TableError("disk full")])
async def test_when_the_fault_is_not_the_events_the_app_ends_without_acknowledging_it(problem: Exception) -> None:
    handled, held, untouched = Record(0), Record(1), Record(2)
    app, graveyard = App(), Graveyard()

    with pytest.raises(type(problem)):
        await drain(Intake(app, graveyard, Metrics()), Stream(handled, held, untouched), raising(problem))

    assert app.crashes == [problem]
    assert graveyard.buried == []
    assert (handled.acknowledged, held.acknowledged, untouched.refcount) == (True, False, 1)


@pytest.mark.asyncio
async def test_an_event_that_cannot_even_be_buried_is_kept() -> None:
    records = Record(0), Record(1)
    app = App()
    refusal = ProducerSendError("no broker")

    with pytest.raises(ProducerSendError):
        await drain(Intake(app, Graveyard(refusal), Metrics()), Stream(*records), raising(ValueError("bad row")))

    assert app.crashes == [refusal]
    assert not records[1].acknowledged


@pytest.mark.asyncio
async def test_an_agent_that_is_cancelled_acknowledges_nothing_it_has_not_finished() -> None:
    begun = asyncio.Event()

    async def never(_delivery: Delivery) -> str:
        begun.set()
        await asyncio.Event().wait()
        return "handled"

    record = Record(0)
    task = asyncio.ensure_future(Intake(App(), Graveyard(), Metrics()).take(Stream(record), never))
    await begun.wait()
    task.cancel()
    await ended(task)

    assert task.cancelled()
    assert not record.acknowledged


@pytest.mark.asyncio
async def test_a_delivery_says_where_and_when_the_record_was() -> None:
    seen: list[Delivery] = []

    async def remember(delivery: Delivery) -> str:
        seen.append(delivery)
        return "handled"

    await drain(Intake(App(), Graveyard(), Metrics()), Stream(Record(5)), remember)

    assert seen == [Delivery("llm.calls", 3, 5, b"acme", b"5", (("a", b"1"),), 1_795_000_000_123)]
