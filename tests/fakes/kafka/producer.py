"""An idempotent producer: in order within a partition, acknowledged later, given up after the delivery timeout."""

from collections import deque
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException

from streams.runtime.clients import LARGEST_RECORD_BYTES
from streams.runtime.kafka import Headers, OnFailure
from tests.fakes.kafka.host import Host
from tests.fakes.kafka.log import Where

RETRY_MS = 100


@dataclass(slots=True)
class Sent:
    """One record from `produce` to its acknowledgement, or its failure."""

    where: Where
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int
    void_at_ms: int
    is_written: bool = False
    is_over: bool = False


@dataclass(slots=True)
class Lane:
    """One partition's records that the broker has not been given yet."""

    waiting: deque[Sent] = field(default_factory=deque[Sent])
    is_moving: bool = False


class FakeProducer:
    def __init__(self, host: Host, delivery_timeout_ms: int, on_failure: OnFailure) -> None:
        self._host = host
        self._delivery_timeout_ms = delivery_timeout_ms
        self._on_failure = on_failure
        self._lanes: dict[Where, Lane] = {}
        self._unsettled = 0
        self._failures: deque[KafkaError] = deque()
        host.at_the_end(self._abandon)

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        *,
        headers: Headers,
        timestamp: int = 0,
    ) -> None:
        self._host.call("produce")
        if len(value or b"") > LARGEST_RECORD_BYTES:
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
        if self._unsettled and self._host.conditions.happens("queue full"):
            raise BufferError("Local: Queue full")
        now_ms = self._host.timeline.now_ms
        written = tuple(
            (name, content.encode() if isinstance(content, str) else content or b"") for name, content in headers
        )
        where = (topic, partition)
        record = Sent(where, key, value, written, timestamp or now_ms, now_ms + self._delivery_timeout_ms)
        self._unsettled += 1
        self._host.after(self._delivery_timeout_ms, lambda: self._void(record))
        lane = self._lanes.setdefault(where, Lane())
        lane.waiting.append(record)
        self._set_off(lane)

    def poll(self, timeout: float, /) -> int:
        self._host.call("poll producer")
        self._host.wait(lambda: bool(self._failures) or not self._unsettled, timeout)
        return self._report()

    def flush(self, timeout: float, /) -> int:
        self._host.call("flush")
        self._host.wait(lambda: not self._unsettled, timeout)
        self._report()
        return len(self)

    def __len__(self) -> int:
        return self._unsettled + len(self._failures)

    def _report(self) -> int:
        count = len(self._failures)
        while self._failures:
            self._on_failure(self._failures.popleft())
        return count

    def _set_off(self, lane: Lane) -> None:
        if lane.waiting and not lane.is_moving:
            lane.is_moving = True
            self._host.after(self._host.conditions.latency_ms(), lambda: self._arrive(lane))

    def _arrive(self, lane: Lane) -> None:
        """The next few of a partition reach the broker, in order."""
        lane.is_moving = False
        if not self._host.reaches_cluster:
            lane.is_moving = bool(lane.waiting)
            if lane.waiting:
                self._host.after(RETRY_MS, lambda: self._arrive(lane))
            return
        for _ in range(max(1, self._host.conditions.up_to(len(lane.waiting)))):
            if lane.waiting:
                self._write(lane.waiting.popleft())
        self._set_off(lane)

    def _write(self, record: Sent) -> None:
        if record.is_over:
            return
        refusal = self._append(record)
        record.is_written = refusal is None
        self._host.after(self._host.conditions.latency_ms(), lambda: self._hear(record, refusal))

    def _append(self, record: Sent) -> int | None:
        return self._host.cluster.append(record.where, record.key, record.value, record.headers, record.timestamp_ms)

    def _hear(self, record: Sent, refusal: int | None) -> None:
        """The broker's word arrives. One that is lost is asked for again: the record itself is not written twice."""
        if record.is_over:
            return
        if not self._host.reaches_cluster or self._host.conditions.happens("reply lost"):
            self._host.after(RETRY_MS, lambda: self._hear(record, refusal))
            return
        self._settle(record, refusal)

    def _void(self, record: Sent) -> None:
        if record.is_over:
            return
        if self._host.is_frozen or self._host.conditions.happens("sent late"):
            self._host.after(RETRY_MS, lambda: self._void(record))
            return
        self._settle(record, KafkaError._MSG_TIMED_OUT)  # a public code whose name has an underscore

    def _settle(self, record: Sent, refusal: int | None) -> None:
        record.is_over = True
        self._unsettled -= 1
        if refusal is not None:
            self._failures.append(KafkaError(refusal))
        self._host.stir()

    def _abandon(self) -> None:
        """The process ends. Of each partition's records the first few may be on the wire, and arrive all the same."""
        for lane in self._lanes.values():
            records = [record for record in lane.waiting if not record.is_over]
            on_the_wire = records[: self._host.conditions.up_to(len(records))]
            self._host.timeline.after(self._host.conditions.latency_ms(), lambda each=on_the_wire: self._land(each))

    def _land(self, records: list[Sent]) -> None:
        if self._host.cluster.is_reachable:
            for record in records:
                self._append(record)
