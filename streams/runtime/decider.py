"""One event at a time: parse it, have it decided, carry the outcome out. An exception costs its own event only."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, assert_never

from schemas.flow import Ticket
from schemas.response import Failure
from streams.control import ControlView
from streams.observe.logs import logger
from streams.observe.metrics import Metrics
from streams.runtime.deadletter import dead_letter_headers
from streams.runtime.delivery import Delivery
from streams.runtime.envelope import Envelope, OversizedRecordError, seal
from streams.runtime.outbox import DeliveryFailedError, Outbox
from streams.runtime.outcome import Absorb, DeadLetter, Finish, Forward, Outcome, Park, Reason, Record
from streams.runtime.partition import Parked, PartitionWork
from streams.runtime.recall import recall
from streams.runtime.spill import Spill
from streams.runtime.stage import Stage, View, completion_record
from streams.settings import KafkaSettings

log = logger(__name__)

_FAILURE = Failure(
    code="internal_error",
    message="The request could not be handled. It is kept; ask the operator, or send it under a new id.",
)


class Decider:
    """Between the loop and the stage. Sends, but never confirms or commits: that is the loop's business."""

    def __init__(
        self,
        stage: Stage[Any, Any],
        kafka: KafkaSettings,
        outbox: Outbox,
        control: Callable[[], ControlView],
        now_ms: Callable[[], int],
        metrics: Metrics,
        clock_us: Callable[[], int],
        spill: Spill,
    ) -> None:
        self._stage = stage
        self._kafka = kafka
        self._topics = {kafka.topic(topic): topic for topic in stage.reads}
        self._tables = {kafka.topic(table): table for table in stage.tables}
        self._own = frozenset(table.name for table in stage.tables)
        self._outbox = outbox
        self._control = control
        self._now_ms = now_ms
        self._metrics = metrics
        self._clock_us = clock_us
        self._spill = spill
        self._outcomes: Counter[str] = Counter()

    def take(self, work: PartitionWork, delivery: Delivery) -> None:
        work.frontier(delivery.topic).take(delivery.offset)
        try:
            event = self._stage.parse(self._topics[delivery.topic], delivery)
        except Exception as problem:  # noqa: BLE001  # whatever a parser raises, the event must not be lost
            self._give_up(work, delivery, "unreadable", problem)
        else:
            self.decide(work, delivery, event)

    def decide(self, work: PartitionWork, delivery: Delivery, event: Any, parked_ms: int | None = None) -> None:
        now_ms = self._now_ms()
        try:
            view = View(self._control(), work.state, now_ms, delivery, parked_ms, self._clock_us)
            outcome = self._stage.decide(event, view)
            self._carry_out(work, delivery, event, outcome, now_ms, parked_ms)
        except DeliveryFailedError:
            raise
        except Exception as problem:  # noqa: BLE001  # a decision's bug costs its own event, never the partition
            self._give_up(work, delivery, "decision_failed", problem)

    def learn(self, work: PartitionWork, delivery: Delivery) -> None:
        recall(self._tables[delivery.topic], work, delivery, self._now_ms())

    def release(self, work: PartitionWork) -> None:
        """Decides again what was woken or is due; doing so may wake more."""
        now_ms = self._now_ms()
        held = work.due(now_ms) + work.woken()
        while held:
            for parked in held:
                self.decide(work, parked.delivery, parked.event, parked.since_ms)
            held = work.woken()

    def tell(self) -> None:
        """Counts the events finished since this was last called: once a batch costs less than once an event."""
        for outcome, times in self._outcomes.items():
            self._metrics.count("millrace_events_total", self._stage.name, outcome, by=times)
        self._outcomes.clear()

    def _carry_out(
        self, work: PartitionWork, delivery: Delivery, event: Any, outcome: Outcome, now_ms: int, parked_ms: int | None
    ) -> None:
        match outcome:
            case Forward(records):
                self._send(work, delivery, records, now_ms)
            case Finish(completion, records):
                self._send(work, delivery, (completion_record(completion), *records), now_ms)
            case Park(on, until_ms):
                since_ms = now_ms if parked_ms is None else parked_ms
                work.park(on, Parked(delivery, event, since_ms, until_ms))
                return
            case Absorb(is_routine=True):
                pass
            case Absorb(reason):
                log.info("absorbed", reason=reason, topic=delivery.topic, offset=delivery.offset, **_ids(event))
            case DeadLetter():
                self._bury(delivery, outcome)
            case _ as unreachable:
                assert_never(unreachable)
        self._finish(work, delivery, type(outcome).__name__.lower())

    def _send(self, work: PartitionWork, delivery: Delivery, records: tuple[Record, ...], now_ms: int) -> None:
        """All are encoded before any is sent, so that an outcome that does not fit leaves nothing half done."""
        self._write(work, records, seal(records, delivery, self._kafka, self._stage.name, now_ms), now_ms)

    def _write(
        self, work: PartitionWork, records: tuple[Record, ...], envelopes: Sequence[Envelope], now_ms: int
    ) -> None:
        if self._stage.changelog_first:
            self._outbox.send([each for each in envelopes if each.topic in self._tables])
            self._outbox.hold([each for each in envelopes if each.topic not in self._tables])
        else:
            self._outbox.send(envelopes)
        for record in records:
            if self._stage.measure is not None:
                self._stage.measure(record.event, self._metrics)
            if record.topic.name in self._own:
                work.wake(work.state.apply(record.event, now_ms))

    def _give_up(self, work: PartitionWork, delivery: Delivery, reason: Reason, problem: Exception) -> None:
        """Keeps the original bytes, and tells the requester where one can be made out. When that has happened too often
        it raises SpilledError instead: then the event is as good as never taken.
        """
        if not isinstance(problem, OversizedRecordError):  # however much of a producer's input that is
            self._spill.burying(delivery.topic, reason, type(problem).__name__)
        log.error(
            "gave_up",
            reason=reason,
            problem=type(problem).__name__,
            topic=delivery.topic,
            partition=delivery.partition,
            offset=delivery.offset,
        )
        words = self._last_words(work, delivery)
        self._bury(delivery, DeadLetter(reason, type(problem).__name__, is_told=words is not None))
        if words is not None:
            self._write(work, *words, self._now_ms())
        self._finish(work, delivery, "gave_up")

    def _last_words(
        self, work: PartitionWork, delivery: Delivery
    ) -> tuple[tuple[Record, ...], Sequence[Envelope]] | None:
        """None when nobody can be told; nothing to write when there is a response already."""
        now_ms = self._now_ms()
        try:
            requester = self._stage.requester(delivery)
            if requester is None:
                return None
            records = self._stage.give_up(requester, _FAILURE, work.state, now_ms)
            envelopes = seal(records, delivery, self._kafka, self._stage.name, now_ms)
        except Exception as again:  # noqa: BLE001  # raised here, it would end each worker that takes the event
            log.error("requester_not_told", problem=type(again).__name__, topic=delivery.topic, offset=delivery.offset)
            return None
        ticket = requester.ticket
        log.warning("told_the_requester", request_id=ticket.request_id, tenant=ticket.tenant_id, offset=delivery.offset)
        return records, envelopes

    def _bury(self, delivery: Delivery, letter: DeadLetter) -> None:
        self._metrics.count("millrace_dead_letters_total", self._stage.name, letter.reason)
        headers = dead_letter_headers(delivery, self._stage.name, letter, self._now_ms())
        self._outbox.send_dead_letter(delivery, headers)

    def _finish(self, work: PartitionWork, delivery: Delivery, outcome: str) -> None:
        work.frontier(delivery.topic).finish(delivery.offset)
        self._outcomes[outcome] += 1
        self._spill.finished(delivery.topic)


def _ids(event: Any) -> dict[str, str | None]:
    """Whose request it was, where the event is about one."""
    ticket = getattr(event, "ticket", None)
    return {"request_id": ticket.request_id, "tenant": ticket.tenant_id} if isinstance(ticket, Ticket) else {}
