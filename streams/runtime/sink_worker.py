"""The loop that feeds a sink: gather rows, write them, commit what is stored.

Promises: an offset is committed only after its row is stored, or is in the dead letters; while the store is away
rows wait on Kafka, for as long as it takes, and only one batch of them in memory. However long the store takes, the
worker stays in its group, and stalls nobody who joins or leaves it.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from confluent_kafka import KafkaException, Message, TopicPartition

from schemas.call import CallRow
from schemas.topics import CALLS
from schemas.wire import DecodeError
from sinks.protocol import Sink, Unavailable
from sinks.writing import Writing
from streams.observe.health import Progress
from streams.observe.logs import logger
from streams.observe.metrics import Metrics
from streams.runtime.commit import Where, commit
from streams.runtime.deadletter import dead_letter_headers
from streams.runtime.delivery import Delivery
from streams.runtime.kafka import Clients, GroupConsumer
from streams.runtime.lag import Ends, Lag
from streams.runtime.messages import delivery_of, place_of
from streams.runtime.outbox import Outbox
from streams.runtime.outcome import DeadLetter
from streams.runtime.spill import Spill, SpilledError
from streams.settings import KafkaSettings, SinkSettings

log = logger(__name__)
NAME = "sink"
CONFIRM_S = 60.0
LOOKUP_TIMEOUT_S = 30.0
QUICK_S = 1.0
"""An insert that ends within it is waited for in silence. To stay in the group during a longer one, reading is paused,
which throws away what was fetched ahead: done for every insert, that would halve the throughput."""
LAST_WRITE_MS = 10_000
"""How long an insert may still take after the worker was told to stop; below every grace period."""


@dataclass(slots=True)
class Batch:
    """Rows that are written together, what among the records was no row, and where reading goes on after them."""

    rows: list[tuple[int, Message, CallRow]] = field(default_factory=list[tuple[int, Message, CallRow]])
    """With the place of each among all that was taken, which says how close together those are that fail."""
    buried: list[tuple[int, Delivery, DeadLetter]] = field(default_factory=list[tuple[int, Delivery, DeadLetter]])
    next: dict[Where, int] = field(default_factory=dict[Where, int])
    since_ms: int | None = None

    def __len__(self) -> int:
        return len(self.rows) + len(self.buried)


class SinkWorker:
    def __init__(
        self,
        sink: Sink,
        clients: Clients,
        kafka: KafkaSettings,
        settings: SinkSettings,
        spill: Spill,
        *,
        now_ms: Callable[[], int],
        metrics: Metrics,
        progress: Progress,
    ) -> None:
        self._sink = sink
        self._kafka = kafka
        self._settings = settings
        self._spill = spill
        self._now_ms = now_ms
        self._metrics = metrics
        self._progress = progress
        self._outbox = Outbox(clients, kafka, NAME, now_ms)
        self._consumer = clients.group_consumer(NAME)
        self._batch = Batch()
        self._storing: Batch | None = None
        self._stored: dict[Where, int] = {}
        self._committed: dict[Where, int] = {}
        self._lag = Lag(NAME, metrics, now_ms)
        self._ends = Ends(clients)

    def run(self, stop: threading.Event) -> None:
        self._consumer.subscribe(
            [self._kafka.topic(CALLS)], on_assign=self._on_assign, on_revoke=self._on_taken, on_lost=self._on_taken
        )
        try:
            while not stop.is_set():
                self._gather(stop)
                self._store(stop)
        except SpilledError:
            self._consumer.close()  # or the group would wait for us until our session is over
            raise
        self._progress.state("stopping")
        self._consumer.close()
        self._ends.close()
        self._sink.close()
        log.info("stopped")

    def _gather(self, stop: threading.Event) -> None:
        """Until there are enough rows, or the oldest has waited long enough."""
        deadline_ms: int | None = None
        while not stop.is_set() and len(self._batch) < self._settings.batch_rows:
            left_ms = self._settings.batch_ms if deadline_ms is None else deadline_ms - self._now_ms()
            if left_ms <= 0:
                break
            room = min(self._settings.batch_rows - len(self._batch), 5_000)
            messages = self._consumer.consume(room, min(left_ms, 100) / 1000)  # returns early only when full
            for message in messages:
                self._take(message)
            if (self._batch.next or self._stored) and deadline_ms is None:
                deadline_ms = self._now_ms() + self._settings.batch_ms
            self._report(moved=bool(messages))

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            if error.fatal() or not error.retriable():
                raise KafkaException(error)
            log.warning("consumer_error", error=error.str())
            return
        try:
            row = CallRow.decode(message.value() or b"")
        except DecodeError as problem:
            reason = f"not a call row: {problem}"
            letter = DeadLetter("unreadable", reason)
            self._batch.buried.append((len(self._batch), delivery_of(message), letter))
        else:
            # as the client's message: its headers are looked at only if it is refused
            self._batch.rows.append((len(self._batch), message, row))
            self._batch.since_ms = self._batch.since_ms or self._now_ms()
        topic, partition, offset = place_of(message)
        self._batch.next[topic, partition] = offset + 1

    def _store(self, stop: threading.Event) -> None:
        """Returns when the batch is stored and its offsets are committed. Or, with nothing of it committed, when its
        partitions are another's, or on `stop`: it is read again then. Raises SpilledError, and the batch is as good as
        never taken: what of it is stored is stored again by whoever can read the rest.
        """
        batch, self._batch = self._batch, Batch()
        self._storing = batch
        while not self._write(batch, stop):
            if stop.is_set() or self._storing is not batch:
                return
        self._storing = None
        self._count(batch)
        self._stored.update(batch.next)
        # only now: a worker that is started again and again while the store is away would bury them every time
        for _, delivery, letter in batch.buried:
            self._bury(delivery, letter)
        self._commit()

    def _count(self, batch: Batch) -> None:
        """In the order in which it was taken. Raises SpilledError when one may not be buried."""
        topic, counted = self._kafka.topic(CALLS), 0
        batch.buried.sort(key=lambda each: each[0])
        for at, _, letter in batch.buried:
            self._spill.finished(topic, at - counted)
            counted = at
            self._spill.burying(topic, letter.reason, letter.detail)
        self._spill.finished(topic, len(batch.rows) + len(batch.buried) - counted)

    def _write(self, batch: Batch, stop: threading.Event) -> bool:
        """False when the rows are not stored, or are no longer ours to speak for."""
        if not batch.rows:
            return True
        started_ms = self._now_ms()
        writing = Writing(self._sink, [row for _, _, row in batch.rows])
        if not self._await(writing, stop) or self._storing is not batch:
            return False
        try:
            refusals = writing.result()
        except Unavailable as outage:
            log.warning("store_unavailable", reason=outage.reason, waiting_rows=len(batch.rows))
            self._metrics.count("millrace_sink_retries_total")
            self._wait(outage.retry_after_s, lambda: stop.is_set() or self._storing is not batch)
            return False
        self._metrics.observe("millrace_insert_seconds", value=(self._now_ms() - started_ms) / 1000)
        self._metrics.count("millrace_rows_total", by=len(batch.rows) - len(refusals))
        for refusal in refusals:
            at, message, _ = batch.rows[refusal.index]
            batch.buried.append((at, delivery_of(message), DeadLetter("row_refused", refusal.reason)))
        return True

    def _await(self, writing: Writing, stop: threading.Event) -> bool:
        """False when it has not ended in good time after `stop`."""
        if writing.ends_within(QUICK_S):
            return True
        last_ms: int | None = None
        while not writing.ends_within(0.1):
            self._stay(0)
            if stop.is_set():
                last_ms = last_ms or self._now_ms() + LAST_WRITE_MS
                if self._now_ms() >= last_ms:
                    return False
        self._consumer.resume(self._consumer.assignment())
        return True

    def _wait(self, wait_s: float, is_in_vain: Callable[[], bool]) -> None:
        until_ms = self._now_ms() + int(wait_s * 1000)
        while self._now_ms() < until_ms and not is_in_vain():
            self._stay(0.1)
        self._consumer.resume(self._consumer.assignment())

    def _stay(self, poll_s: float) -> None:
        """In the group, without taking more rows: what arrives meanwhile stays on Kafka."""
        self._consumer.pause(self._consumer.assignment())  # which may be another than a moment ago
        message = self._consumer.poll(poll_s)
        if message is not None:  # fetched before the pause
            self._take(message)
        self._report(moved=False)

    def _bury(self, delivery: Delivery, letter: DeadLetter) -> None:
        log.error("row_buried", reason=letter.reason, partition=delivery.partition, offset=delivery.offset)
        self._metrics.count("millrace_dead_letters_total", NAME, letter.reason)
        self._outbox.send_dead_letter(delivery, dead_letter_headers(delivery, NAME, letter, self._now_ms()))

    def _commit(self) -> None:
        if not self._stored:
            return
        if not self._outbox.confirm(CONFIRM_S):
            raise TimeoutError("the broker does not acknowledge dead letters; nothing is committed")
        if commit(self._consumer, self._stored):
            self._committed.update(self._stored)
            self._stored.clear()

    def _report(self, *, moved: bool) -> None:
        held = self._batch if self._storing is None else self._storing
        self._progress.looped(len(held), moved=moved)
        if self._lag.is_due():
            self._lag.show(self._committed, self._ends.of(self._committed))
            self._lag.show_oldest(held.since_ms)

    def _on_assign(self, consumer: GroupConsumer, assigned: list[TopicPartition]) -> None:
        starts = consumer.committed(assigned, LOOKUP_TIMEOUT_S)
        self._committed = {(start.topic, start.partition): max(start.offset, 0) for start in starts}
        consumer.assign(assigned)
        consumer.resume(assigned)  # a pause outlives the assignment it was made in
        self._progress.state("running")
        log.info("assigned", partitions=sorted(where.partition for where in assigned))

    def _on_taken(self, _consumer: GroupConsumer, _partitions: list[TopicPartition]) -> None:
        """Rows gathered and not stored are read again by the next owner; storing a row twice changes nothing."""
        self._batch = Batch()
        self._storing = None
        self._stored.clear()
        self._committed = {}
