"""Faust acknowledges what an agent fails at; the intake does not let it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from faust.exceptions import ProducerSendError
from typing_extensions import override

from streams.observe.metrics import Metrics
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import DeadLetter, Reason
from streams.runtime.spill import Spill, SpilledError
from streams.settings import WorkerSettings
from streams.watch.intake import Intake
from streams.watch.tables import TableError


def never() -> Spill:
    return Spill("watch", WorkerSettings(spill_percent=100), by_batch=True)


class Record:
    """A batch as Faust counts its references: acknowledged when nobody refers to it any more."""

    def __init__(self, *offsets: int) -> None:
        self.deliveries = [Delivery("llm.calls", 3, offset, b"acme", b"%d" % offset, (), 0) for offset in offsets]
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


class Pages:
    """Every page is one more in `opened`. `problem` is met by the event of offset 1, or by all; `at_close` by pages."""

    def __init__(
        self,
        problem: BaseException | None = None,
        *,
        at_close: BaseException | None = None,
        fails_all: bool = False,
    ) -> None:
        self.problem = problem
        self.fails_all = fails_all
        self.at_close = at_close
        self.opened: list[PageSeen] = []

    def open(self) -> "PageSeen":
        self.opened.append(PageSeen(self))
        return self.opened[-1]


class PageSeen:
    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self.outcomes = Counter[str]()
        self.taken: list[int] = []
        self.closed = False

    def take(self, delivery: Delivery) -> None:
        if self._pages.problem is not None and (self._pages.fails_all or delivery.offset == 1):
            raise self._pages.problem
        self.taken.append(delivery.offset)
        self.outcomes["handled"] += 1

    async def close(self) -> None:
        if self._pages.at_close is not None:
            raise self._pages.at_close
        self.closed = True


async def ended(task: asyncio.Future[None]) -> None:
    """Waits for an agent's end and for the `finally` of the stream it has left behind."""
    await asyncio.wait([task])
    await asyncio.get_running_loop().shutdown_asyncgens()


async def drain(intake: Intake, stream: Stream, pages: Pages) -> None:
    task = asyncio.ensure_future(intake.take(stream, pages.open))
    await ended(task)
    task.result()


@pytest.mark.asyncio
async def test_what_has_been_handled_is_acknowledged_and_counted() -> None:
    first, second = Record(0), Record(1)
    intake = Intake(App(), Graveyard(), never(), Metrics())

    await drain(intake, Stream(first, second), Pages())

    assert first.acknowledged
    assert second.acknowledged
    assert intake.finished == 2


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("problem", "reason"), [(ValueError("bad row"), "unreadable"), (RuntimeError("a bug"), "decision_failed")]
)
async def test_an_event_that_cannot_be_handled_is_buried_and_the_next_one_is_taken(
    problem: Exception, reason: Reason
) -> None:
    records = Record(0), Record(1), Record(2)
    graveyard = Graveyard()
    intake = Intake(App(), graveyard, never(), Metrics())

    await drain(intake, Stream(*records), Pages(problem))

    assert graveyard.buried == [(1, DeadLetter(reason, type(problem).__name__))]
    assert all(record.acknowledged for record in records)


@pytest.mark.asyncio
@pytest.mark.parametrize("problem", [ProducerSendError("no broker"), TableError("disk full")])
async def test_when_the_fault_is_not_the_events_the_app_ends_without_acknowledging_it(problem: Exception) -> None:
    handled, held, untouched = Record(0), Record(1), Record(2)
    app, graveyard = App(), Graveyard()

    with pytest.raises(type(problem)):
        await drain(Intake(app, graveyard, never(), Metrics()), Stream(handled, held, untouched), Pages(problem))

    assert app.crashes == [problem]
    assert graveyard.buried == []
    assert (handled.acknowledged, held.acknowledged, untouched.refcount) == (True, False, 1)


@pytest.mark.asyncio
async def test_a_watch_that_can_handle_nothing_ends_and_buries_nothing_of_the_batch_that_is_read_again() -> None:
    spill = Spill("watch", WorkerSettings(spill_letters=3, spill_window=3), by_batch=True)
    pages, graveyard, app = Pages(RuntimeError("a bug"), fails_all=True), Graveyard(), App()
    first, second = Record(0, 1), Record(2, 3, 4)

    with pytest.raises(SpilledError) as ended:
        await drain(Intake(app, graveyard, spill, Metrics()), Stream(first, second), pages)

    assert app.crashes == [ended.value]
    assert [offset for offset, _ in graveyard.buried] == [0, 1]
    assert (first.acknowledged, second.acknowledged) == (True, False)
    assert not pages.opened[1].closed


@pytest.mark.asyncio
async def test_an_event_that_cannot_even_be_buried_is_kept() -> None:
    records = Record(0), Record(1)
    app = App()
    refusal = ProducerSendError("no broker")

    with pytest.raises(ProducerSendError):
        await drain(Intake(app, Graveyard(refusal), never(), Metrics()), Stream(*records), Pages(ValueError("bad row")))

    assert app.crashes == [refusal]
    assert not records[1].acknowledged


@pytest.mark.asyncio
async def test_an_agent_that_is_cancelled_acknowledges_nothing_it_has_not_finished() -> None:
    begun = asyncio.Event()

    class Endless(PageSeen):
        @override
        async def close(self) -> None:
            begun.set()
            await asyncio.Event().wait()

    record = Record(0)
    task = asyncio.ensure_future(
        Intake(App(), Graveyard(), never(), Metrics()).take(Stream(record), lambda: Endless(Pages()))
    )
    await begun.wait()
    task.cancel()
    await ended(task)

    assert task.cancelled()
    assert not record.acknowledged


@pytest.mark.asyncio
async def test_a_batch_is_one_page_and_each_of_its_events_is_counted() -> None:
    pages, metrics = Pages(ValueError("bad row")), Metrics()
    batch, next_batch = Record(0, 1, 2), Record(3, 4)
    graveyard = Graveyard()
    intake = Intake(App(), graveyard, never(), metrics)

    await drain(intake, Stream(batch, next_batch), pages)

    assert [page.taken for page in pages.opened] == [[0, 2], [3, 4]]
    assert all(page.closed for page in pages.opened)
    assert [offset for offset, _ in graveyard.buried] == [1]
    assert (counted(metrics, "handled"), counted(metrics, "gave_up")) == (4, 1)
    assert intake.finished == 5
    assert batch.acknowledged
    assert next_batch.acknowledged


@pytest.mark.asyncio
async def test_a_batch_whose_page_cannot_be_closed_is_not_acknowledged_and_none_of_it_is_counted() -> None:
    record, app, metrics = Record(0, 2), App(), Metrics()
    refusal = ProducerSendError("no broker")
    intake = Intake(app, Graveyard(), never(), metrics)

    with pytest.raises(ProducerSendError):
        await drain(intake, Stream(record), Pages(at_close=refusal))

    assert app.crashes == [refusal]
    assert not record.acknowledged
    assert (counted(metrics, "handled"), intake.finished) == (0, 0)


def counted(metrics: Metrics, outcome: str) -> float:
    labels = {"stage": "watch", "outcome": outcome}
    return metrics.registry.get_sample_value("millrace_events_total", labels) or 0
