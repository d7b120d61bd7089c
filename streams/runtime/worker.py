"""The one loop of the synchronous stages: take a batch, decide, send, confirm, commit the contiguous frontier.

Promises: every event taken ends in records that are confirmed before its offset is committed, or it is taken again.
Whatever the broker refuses for good stops the process; the next one starts from the last commit.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from streams.clock import elapsed_us
from streams.observe.health import Progress
from streams.observe.logs import logger
from streams.observe.metrics import Metrics
from streams.runtime.commit import Where
from streams.runtime.decider import Decider
from streams.runtime.delivery import Delivery
from streams.runtime.fair_queue import FairQueue
from streams.runtime.follower import ControlFollower, wait_for_configuration
from streams.runtime.kafka import Clients, GroupConsumer
from streams.runtime.lag import Ends, Lag
from streams.runtime.membership import Membership
from streams.runtime.messages import delivery_of
from streams.runtime.outbox import Outbox
from streams.runtime.partition import PartitionWork
from streams.runtime.restore import RestoreStoppedError, TableReader
from streams.runtime.spill import Spill, SpilledError
from streams.runtime.stage import Stage
from streams.settings import KafkaSettings, WorkerSettings

log = logger(__name__)

LOOKUP_TIMEOUT_S = 30.0
UNSAVED_MS = 5_000
"""Commits that fail for longer than this count as work that does not move."""
CONFIRM_SLICE_S = 1.0
"""While the broker is slow to acknowledge, the group hears from us at least this often."""


class DrainTimeoutError(Exception):
    """Partitions are being taken away, or we are told to stop, and the broker does not acknowledge: exit without
    committing.

    Doing some work twice beats finishing it as a ghost after the new owner has started.
    """


class UnreadableBatchError(Exception):
    """Kafka's client can neither read a batch nor pass over it."""


class Worker:
    """One process of one stage. `run` returns after `stop` is set and everything taken is finished and committed."""

    def __init__(
        self,
        stage: Stage[Any, Any],
        clients: Clients,
        kafka: KafkaSettings,
        settings: WorkerSettings,
        *,
        now_ms: Callable[[], int],
        metrics: Metrics,
        progress: Progress,
        clock_us: Callable[[], int] = elapsed_us,
    ) -> None:
        self._stage = stage
        self._kafka = kafka
        self._settings = settings
        self._now_ms = now_ms
        self._metrics = metrics
        self._progress = progress
        self._tables = tuple(kafka.topic(table) for table in stage.tables)
        self._inputs = frozenset(kafka.topic(topic) for topic in stage.reads)
        self._holds = frozenset(kafka.topic(topic) for topic in stage.holds)
        self._partitions: dict[int, PartitionWork] = {}
        self._fetched = FairQueue()
        self._is_paused = False
        self._is_held = False
        self._is_full = False
        self._committed: dict[Where, int] = {}
        self._committed_ms = 0
        self._progress_saved_ms = now_ms()
        self._lag = Lag(stage.name, metrics, now_ms)
        self._ends = Ends(clients)
        self._outbox = Outbox(clients, kafka, stage.name, now_ms)
        self._control = ControlFollower(clients, kafka)
        self._reader = TableReader(clients, stage.name, metrics)
        self._consumer = clients.group_consumer(stage.name)
        self._membership = Membership(self._consumer, kafka.membership_holds_ms, now_ms)
        self._is_leaving = False
        self._decider = Decider(
            stage,
            kafka,
            self._outbox,
            lambda: self._control.view,
            now_ms,
            metrics,
            clock_us,
            Spill(stage.name, settings),
        )

    def run(self, stop: threading.Event) -> None:
        try:
            self._begin(stop)
            while not stop.is_set():
                self._round(stop)
            self._progress.state("stopping")
            self._commit()
        except RestoreStoppedError:
            log.info("stopped_while_restoring")
        except Exception:
            # the group would go on counting on us until our session is over. While a record of ours may still be
            # written it shall: our successor must read it back, and once the session is over brokers refuse it
            if self._outbox.is_clear:
                self._is_leaving = True
                self._consumer.close()
            raise
        self._consumer.close()
        self._control.close()
        self._reader.close()
        self._ends.close()
        log.info("stopped")

    def _begin(self, stop: threading.Event) -> None:
        if self._stage.prepare is not None:
            self._stage.prepare()
        self._reader.obey(stop.is_set)
        wait_for_configuration(self._control, stop)
        topics = [*self._inputs, *(self._tables if self._stage.follow else ())]
        self._consumer.subscribe(topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)
        self._metrics.set("millrace_config_version", self._stage.name, to=self._control.view.version)
        log.info("subscribed", reads=topics)

    def _round(self, stop: threading.Event) -> None:
        if self._control.follow():
            self._metrics.set("millrace_config_version", self._stage.name, to=self._control.view.version)
        self._poll()
        decided_ms = self._membership.decide_as_of(self._positions())
        # nothing is decided while the group does not say that we are in it; polling will tell when we are not
        self._is_held = decided_ms is None and len(self._fetched) > 0
        if decided_ms is None:
            if self._is_held:
                self._pause()
        else:
            self._outbox.date(decided_ms)
            taken = self._fetched.take(self._settings.batch_size, self._inputs if self._is_full else ())
            self._decide_all(taken, stop)
        self._confirm(stop)
        if self._now_ms() - self._committed_ms >= self._settings.commit_interval_ms:
            self._commit()
        self._steer()

    def _poll(self) -> None:
        """Waits for the first message only. A rebalance in any of these calls forgets what was fetched before it:
        whoever owns its partition now reads it again, and perhaps we do.
        """
        at_once = len(self._fetched) > 0 and not self._is_paused
        first = self._consumer.poll(0 if at_once else self._settings.poll_ms / 1000)
        if first is None:
            return
        self._keep([first])
        is_more = True
        while is_more and self._fetched.has_room:
            some = self._consumer.consume(self._settings.batch_size, 0)
            self._keep(some)
            is_more = len(some) == self._settings.batch_size

    def _keep(self, messages: Iterable[Message]) -> None:
        self._fetched.add(message for message in messages if _is_record(message))

    def _decide_all(self, messages: list[Message], stop: threading.Event) -> None:
        """What was decided before the stage had to stop holds, dead letters and all: whoever is started next begins
        with the very event that was one too many.
        """
        try:
            self._decide(messages)
        except SpilledError:
            self._decider.tell()
            self._confirm(stop)
            self._commit()
            raise

    def _decide(self, messages: list[Message]) -> None:
        started_ms = self._now_ms()
        for message in messages:
            self._take(message)
        for work in self._partitions.values():
            self._decider.release(work)
        self._decider.tell()
        if messages:
            decided_ms = self._now_ms()
            self._metrics.observe("millrace_decide_seconds", self._stage.name, value=(decided_ms - started_ms) / 1000)

    def _take(self, message: Message) -> None:
        delivery = delivery_of(message)
        work = self._partitions.get(delivery.partition)
        if work is None:  # fetched before its partition was taken away
            return
        if delivery.topic in self._inputs:
            self._decider.take(work, delivery)
        else:
            self._decider.learn(work, delivery)

    def _confirm(self, stop: threading.Event) -> None:
        """Waits for as long as the broker needs, staying in the group meanwhile without taking more events."""
        started_ms = self._now_ms()
        stopped_ms: int | None = None
        while not self._outbox.confirm(CONFIRM_SLICE_S):
            if stop.is_set():
                stopped_ms = stopped_ms or self._now_ms()
                if self._now_ms() - stopped_ms >= self._settings.drain_ms:
                    raise DrainTimeoutError(f"the broker did not acknowledge within {self._settings.drain_ms} ms")
            self._pause()
            # what was fetched before the pause may still come: it is kept, never dropped
            late = self._consumer.poll(0)
            if late is not None:
                self._keep([late])
            self._progress.looped(self._outbox.waiting, moved=False)
            self._lag.show_oldest(started_ms)
        waited_ms = self._now_ms() - started_ms
        if waited_ms:
            self._metrics.observe("millrace_confirm_seconds", self._stage.name, value=waited_ms / 1000)

    def _commit(self) -> None:
        """A commit that failed is not remembered as done, and goes along with the next."""
        self._committed_ms = self._now_ms()
        moved = {where: at for where, at in self._positions().items() if at != self._committed.get(where)}
        if not moved or self._membership.commit(moved):
            self._committed.update(moved)
            self._progress_saved_ms = self._committed_ms

    def _positions(self) -> dict[Where, int]:
        """Up to where everything is finished. What we know to be committed may lie behind: a reply can be lost."""
        finished = {
            (topic, partition): int(frontier.next_offset)
            for partition, work in self._partitions.items()
            for topic, frontier in work.frontiers.items()
            if frontier.next_offset is not None
        }
        return {**self._committed, **finished}

    def _steer(self) -> None:
        """Reports progress, and stops taking events while too many are held back."""
        deferred = sum(work.parked_of(topic) for work in self._partitions.values() for topic in self._holds)
        parked = sum(work.parked_count for work in self._partitions.values()) - deferred
        if self._holds:
            self._metrics.set("millrace_deferred", self._stage.name, to=deferred)
        self._metrics.set("millrace_parked", self._stage.name, to=parked)
        self._metrics.set("millrace_in_flight", self._stage.name, "all", to=self._unfinished())
        # whatever is not parked is confirmed by now, and what is parked has a time limit of its own: what may stand
        # still without anybody noticing is the frontier on the broker
        unsaved_ms = self._now_ms() - self._progress_saved_ms
        self._progress.looped(1 if unsaved_ms > UNSAVED_MS else self._unfinished(), moved=unsaved_ms <= UNSAVED_MS)
        if self._lag.is_due():
            self._lag.show(self._committed, self._ends.of(self._committed))
            entries = sum(len(work.state) for work in self._partitions.values())
            self._metrics.set("millrace_state_entries", self._stage.name, to=entries)
            held = [work.parked_since_ms(self._holds) for work in self._partitions.values()]
            self._lag.show_oldest(min((since_ms for since_ms in held if since_ms is not None), default=None))
        self._is_full = parked >= self._settings.max_parked
        if self._is_full:
            self._pause()
        elif self._is_paused and not self._is_held:
            self._consumer.resume(self._consumer.assignment())
            self._is_paused = False

    def _pause(self) -> None:
        """Table partitions go on: what they bring is what releases the events held back."""
        if not self._is_paused:
            self._consumer.pause([where for where in self._consumer.assignment() if where.topic in self._inputs])
            self._is_paused = True

    def _unfinished(self) -> int:
        held = sum(work.parked_of(topic) for work in self._partitions.values() for topic in self._holds)
        return sum(work.unfinished for work in self._partitions.values()) - held

    def _on_assign(self, consumer: GroupConsumer, assigned: list[TopicPartition]) -> None:
        """Rebuilds each partition's state before its first event is decided. Runs inside poll, on our thread."""
        self._progress.state("restoring")
        self._partitions = {where.partition: PartitionWork(self._stage.state()) for where in assigned}
        self._fetched.clear()
        starts = consumer.committed([where for where in assigned if where.topic in self._inputs], LOOKUP_TIMEOUT_S)
        self._committed = {(start.topic, start.partition): max(start.offset, 0) for start in starts}
        started_ms = self._now_ms()
        restored = self._restore(starts)
        if self._tables:
            seconds = (self._now_ms() - started_ms) / 1000
            self._metrics.observe("millrace_restore_seconds", self._stage.name, value=seconds)
        for where in assigned:
            if where.topic in self._tables:
                where.offset = restored[where.topic, where.partition]
        consumer.assign(assigned)
        consumer.resume(assigned)  # a pause outlives the assignment it was made in
        self._is_paused = False
        self._progress.state("running")
        log.info("assigned", partitions=sorted(self._partitions))

    def _restore(self, starts: list[TopicPartition]) -> dict[Where, int]:
        """Returns the offsets from which the tables are still to be followed."""
        if not self._tables or not self._partitions:
            return {}
        since_ms: dict[int, int | None] = dict.fromkeys(self._partitions)
        if self._stage.restore == "window":
            now_ms, window_ms = self._now_ms(), self._window_ms()
            oldest_ms = self._reader.oldest_unfinished_ms(starts)
            since_ms = {p: min(oldest_ms.get(p, now_ms), now_ms) - window_ms for p in self._partitions}
        return {
            (table, partition): offset
            for table in self._tables
            for partition, offset in self._reader.read(table, since_ms, self._learn).items()
        }

    def _window_ms(self) -> int:
        if self._stage.window_ms is None:
            return self._settings.answered_window_s * 1000
        return self._stage.window_ms(self._control.view)

    def _learn(self, record: Delivery) -> None:
        self._decider.learn(self._partitions[record.partition], record)

    def _on_revoke(self, _consumer: GroupConsumer, _revoked: list[TopicPartition]) -> None:
        """Everything taken is finished but for parked events, which the next owner takes again."""
        if self._is_leaving:
            return
        if not self._outbox.confirm(self._settings.drain_ms / 1000):
            raise DrainTimeoutError(f"the broker did not acknowledge within {self._settings.drain_ms} ms")
        self._commit()
        self._let_go()

    def _on_lost(self, _consumer: GroupConsumer, lost: list[TopicPartition]) -> None:
        """Somebody else owns them already: nothing of theirs may be committed."""
        log.warning("partitions_lost", partitions=sorted({where.partition for where in lost}))
        self._let_go()

    def _let_go(self) -> None:
        self._partitions = {}
        self._committed = {}
        self._fetched.clear()


def _is_record(message: Message) -> bool:
    """False for a complaint that passes; others are raised at once: to a worker that may not join its group nothing
    else will ever come. Raises KafkaException.
    """
    error = message.error()
    if error is None:
        return True
    if error.code() == KafkaError._BAD_COMPRESSION:  # noqa: SLF001  # a public error code whose name has an underscore
        raise UnreadableBatchError(
            f"the batch at offset {message.offset()} of {message.topic()}/{message.partition()} cannot be unpacked, or "
            "is larger than 256 MiB then; see who wrote it, and set the group's offset behind it to go on without it"
        )
    if error.fatal() or not error.retriable():
        raise KafkaException(error)
    log.warning("consumer_error", error=error.str())
    return False
