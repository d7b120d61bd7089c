"""Records between an idempotent producer and the brokers: in order within a partition, acknowledged later, given up
after the delivery timeout. What was given up, or belongs to a process that is gone, may be in a connection that stalls:
it is written when the network moves again, if the topic still takes it.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from confluent_kafka import KafkaError

from tests.fakes.kafka.host import Host
from tests.fakes.kafka.log import Headers, Where

RETRY_MS = 100
STALL_MS = 15_000
"""The longest that bytes stay in a connection that stalls."""
NEVER_MS = 0
Over = Callable[[int | None], None]
"""Told how a record ended: None when it is safe, else an error code."""


@dataclass(slots=True, eq=False)
class Sent:
    """`offset` is known once it is written."""

    where: Where
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int
    over: Over
    offset: int | None = None
    is_over: bool = False


@dataclass(slots=True)
class Lane:
    """One partition's records that the broker has not been given yet. `stalls_until_ms`: of the connection that the
    first record given up is in, NEVER_MS when it never was in one: whatever follows would be out of order.
    `is_known`: brokers have a record of this producer, and take no other than the next.
    """

    waiting: deque[Sent] = field(default_factory=deque[Sent])
    is_moving: bool = False
    stalls_until_ms: int | None = None
    is_known: bool = False


class Outgoing:
    """`pipelines`: several requests of a partition may be on their way at once."""

    def __init__(self, host: Host, delivery_timeout_ms: int, *, pipelines: bool) -> None:
        self._host = host
        self._delivery_timeout_ms = delivery_timeout_ms
        self._pipelines = pipelines
        self._lanes: dict[Where, Lane] = {}
        host.at_the_end(self._abandon)

    def send(self, record: Sent) -> None:
        lane = self._lanes.setdefault(record.where, Lane())
        self._host.after(self._delivery_timeout_ms, lambda: self._void(record, lane))
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
        self._lose_the_first(lane)
        for _ in range(max(1, self._host.conditions.up_to(len(lane.waiting)))):
            if lane.waiting:
                lane.is_known |= self._write(lane.waiting.popleft())
        self._set_off(lane)

    def _lose_the_first(self, lane: Lane) -> None:
        """What the next is written after: librdkafka then says that both are."""
        pipelined = self._pipelines and not lane.is_known and len(lane.waiting) > 1
        if pipelined and self._host.conditions.happens("leader replaced"):
            first = lane.waiting.popleft()
            self._host.after(self._host.conditions.latency_ms(), lambda: self._hear(first, None))

    def _write(self, record: Sent) -> bool:
        """Whether it is in the log now."""
        refusal = self._append(record)
        self._host.after(self._host.conditions.latency_ms(), lambda: self._hear(record, refusal))
        return refusal is None

    def _append(self, record: Sent) -> int | None:
        written = self._host.cluster.append(record.where, record.key, record.value, record.headers, record.timestamp_ms)
        if isinstance(written, int):
            return written
        record.offset = written.offset
        return None

    def _hear(self, record: Sent, refusal: int | None) -> None:
        """The broker's word arrives. One that is lost is asked for again: the record itself is not written twice."""
        if record.is_over:
            return
        if not self._host.reaches_cluster or self._host.conditions.happens("reply lost"):
            self._host.after(RETRY_MS, lambda: self._hear(record, refusal))
            return
        self._settle(record, refusal)

    def _void(self, record: Sent, lane: Lane) -> None:
        if record.is_over:
            return
        if self._host.is_frozen:
            self._host.after(RETRY_MS, lambda: self._void(record, lane))
            return
        if record in lane.waiting:
            lane.waiting.remove(record)
            self._strand(lane, record)
        self._settle(record, KafkaError._MSG_TIMED_OUT)  # a public code whose name has an underscore

    def _settle(self, record: Sent, refusal: int | None) -> None:
        record.is_over = True
        record.over(refusal)
        self._host.stir()

    def _abandon(self) -> None:
        """The process ends. Of each partition's records the first few may be on the wire, and arrive all the same."""
        for lane in self._lanes.values():
            on_the_wire = [*lane.waiting][: self._host.conditions.up_to(len(lane.waiting))]
            if lane.stalls_until_ms is None:
                lane.stalls_until_ms = self._host.timeline.now_ms + self._stall_ms(self._host.conditions.latency_ms())
            for record in on_the_wire:
                self._land_when_it_moves(lane, record)

    def _strand(self, lane: Lane, record: Sent) -> None:
        """It is on the wire, or was never sent."""
        if lane.stalls_until_ms is None:
            stall_ms = self._stall_ms(0)
            lane.stalls_until_ms = self._host.timeline.now_ms + stall_ms if stall_ms else NEVER_MS
        self._land_when_it_moves(lane, record)

    def _stall_ms(self, otherwise_ms: int) -> int:
        return self._host.conditions.up_to(STALL_MS) if self._host.conditions.happens("sent late") else otherwise_ms

    def _land_when_it_moves(self, lane: Lane, record: Sent) -> None:
        left_ms = (lane.stalls_until_ms or NEVER_MS) - self._host.timeline.now_ms
        if left_ms >= 0:
            self._host.timeline.after(left_ms, lambda: self._land(lane, record, STALL_MS))

    def _land(self, lane: Lane, record: Sent, patience_ms: int) -> None:
        if lane.stalls_until_ms == NEVER_MS or patience_ms < 0:
            return
        if not (self._host.cluster.is_reachable and self._host.is_connected):
            self._host.timeline.after(RETRY_MS, lambda: self._land(lane, record, patience_ms - RETRY_MS))
        elif self._append(record) is not None:
            lane.stalls_until_ms = NEVER_MS  # what follows would be out of order
