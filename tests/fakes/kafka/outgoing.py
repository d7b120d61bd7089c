"""Records between an idempotent producer and the brokers: in order within a partition, acknowledged later, given up
after the delivery timeout.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from confluent_kafka import KafkaError

from tests.fakes.kafka.host import Host
from tests.fakes.kafka.log import Headers, Where

RETRY_MS = 100
Over = Callable[[int | None], None]
"""Told how a record ended: None when it is safe, else an error code."""


@dataclass(slots=True)
class Sent:
    where: Where
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int
    over: Over
    is_over: bool = False


@dataclass(slots=True)
class Lane:
    """One partition's records that the broker has not been given yet."""

    waiting: deque[Sent] = field(default_factory=deque[Sent])
    is_moving: bool = False


class Outgoing:
    def __init__(self, host: Host, delivery_timeout_ms: int) -> None:
        self._host = host
        self._delivery_timeout_ms = delivery_timeout_ms
        self._lanes: dict[Where, Lane] = {}
        host.at_the_end(self._abandon)

    def send(self, record: Sent) -> None:
        self._host.after(self._delivery_timeout_ms, lambda: self._void(record))
        lane = self._lanes.setdefault(record.where, Lane())
        lane.waiting.append(record)
        self._set_off(lane)

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
        if not record.is_over:
            refusal = self._append(record)
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
        record.over(refusal)
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
