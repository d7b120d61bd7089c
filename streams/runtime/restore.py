"""Reading tables back before the first event of a partition is decided."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from confluent_kafka import OFFSET_BEGINNING, KafkaException, Message, TopicPartition

from streams.observe.logs import logger
from streams.observe.metrics import Metrics
from streams.runtime.acknowledged import acknowledged_end, offsets_since, told
from streams.runtime.delivery import Delivery
from streams.runtime.kafka import Clients
from streams.runtime.messages import END_OF_PARTITION, delivery_of

log = logger(__name__)
T = TypeVar("T")
ASK_S = 5.0
BATCH = 5_000
POLL_S = 1.0
SILENCE_S = 60.0
"""A partition without a leader says nothing: better to start over, and be seen to, than to wait unseen."""


class RestoreStalledError(Exception):
    """State could not be read back; the process must start over."""


class RestoreStoppedError(Exception):
    """Whoever read state back was told to stop: nothing was taken yet, so nothing is left to finish."""


class TableReader:
    """A consumer outside any group, kept for the worker's lifetime. All of it raises KafkaException when the cluster
    says for good that a partition cannot be read.
    """

    def __init__(self, clients: Clients, stage: str, metrics: Metrics) -> None:
        self._stage = stage
        self._metrics = metrics
        self._consumer = clients.reader(fetch_wait_ms=20)
        self._silent_s = 0.0
        self._is_told_to_stop: Callable[[], bool] = lambda: False

    def obey(self, is_told_to_stop: Callable[[], bool]) -> None:
        """Once it is, by whichever thread, reading ends with RestoreStoppedError, whether anything arrives or not."""
        self._is_told_to_stop = is_told_to_stop

    def read(self, topic: str, since_ms: Mapping[int, int | None], apply: Callable[[Delivery], None]) -> dict[int, int]:
        """Hands every record from `since_ms` (by partition; None: the beginning) to the current end to `apply`, in
        order within a partition, without their headers. Returns the offset after the last one, by partition.
        """
        self._look_up(topic)
        reach = {partition: self._reach(TopicPartition(topic, partition)) for partition in since_ms}
        self._begin(self._starts(topic, since_ms))
        ends: dict[int, int] = {}
        count = 0
        while len(ends) < len(since_ms):
            for message in self._poll():
                if message.error() is None:
                    record = delivery_of(message, with_headers=False)
                    apply(record)
                    count += 1
                    if record.partition in ends:  # written after its end was reached, while others are still read
                        ends[record.partition] = record.offset + 1
                elif (offset := message.offset() or 0) >= reach[partition := message.partition() or 0]:
                    ends[partition] = offset
        self._consumer.unassign()
        self._metrics.count("millrace_restored_records_total", self._stage, by=count)
        log.info("restored", topic=topic, partitions=sorted(ends), records=count)
        return ends

    def oldest_unfinished_ms(self, starts: Sequence[TopicPartition]) -> dict[int, int]:
        """When the first event that will be taken was written, by partition number; none for those at their end.

        A position never committed counts from the partition's beginning.
        """
        if not starts:
            return {}
        for topic in {start.topic for start in starts}:
            self._look_up(topic)
        open_ = {(start.topic, start.partition): self._reach(start) for start in starts}
        self._begin(
            [TopicPartition(s.topic, s.partition, s.offset if s.offset >= 0 else OFFSET_BEGINNING) for s in starts]
        )
        oldest: dict[int, int] = {}
        while open_:
            for message in self._poll():
                where = (message.topic() or "", message.partition() or 0)
                if where not in open_:
                    continue
                if message.error() is None:
                    written_ms = message.timestamp()[1]
                    oldest[where[1]] = min(oldest.get(where[1], written_ms), written_ms)
                elif (message.offset() or 0) < open_[where]:
                    continue
                del open_[where]
        self._consumer.unassign()
        return oldest

    def _reach(self, where: TopicPartition) -> int:
        return self._ask(lambda: acknowledged_end(self._consumer, where, ASK_S))

    def _ask(self, question: Callable[[], T]) -> T:
        until_s = time.monotonic() + SILENCE_S
        while time.monotonic() < until_s:
            if self._is_told_to_stop():
                raise RestoreStoppedError
            answer = told(question)
            if answer is not None:
                return answer
            self._consumer.poll(POLL_S)  # nothing is assigned: a pause
        raise RestoreStalledError(f"no broker could tell for {SILENCE_S:g} s what there is to be read back")

    def _begin(self, starts: list[TopicPartition]) -> None:
        self._consumer.assign(starts)
        self._silent_s = 0.0

    def _poll(self) -> Sequence[Message]:
        """What has arrived: records, and signs of a partition's end."""
        if self._is_told_to_stop():
            raise RestoreStoppedError
        first = self._consumer.poll(POLL_S)
        if first is None:
            self._silent_s += POLL_S
            if self._silent_s > SILENCE_S:
                raise RestoreStalledError(f"nothing was heard of a partition to be read back for {SILENCE_S:g} s")
            return []
        self._silent_s = 0.0
        messages = [first, *self._consumer.consume(BATCH, 0)]
        usable: list[Message] = []
        for message in messages:
            error = message.error()
            if error is None or error.code() == END_OF_PARTITION:
                usable.append(message)
            elif error.fatal() or not error.retriable():
                raise KafkaException(error)
        return usable

    def _look_up(self, topic: str) -> None:
        """Left to itself, the client finds out where a topic is only at its next look, up to a second later."""
        self._ask(lambda: self._consumer.list_topics(topic, ASK_S))

    def _starts(self, topic: str, since_ms: Mapping[int, int | None]) -> list[TopicPartition]:
        whole = [TopicPartition(topic, p, OFFSET_BEGINNING) for p, since in since_ms.items() if since is None]
        timed = [TopicPartition(topic, p, max(since, 0)) for p, since in since_ms.items() if since is not None]
        return whole + (self._ask(lambda: offsets_since(self._consumer, timed, ASK_S)) if timed else [])

    def close(self) -> None:
        self._consumer.close()
