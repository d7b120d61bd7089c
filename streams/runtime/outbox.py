"""Records on their way out of a synchronous stage. Confirmed before any offset moves, and dated by when the group was
last known to count on us, so that brokers refuse what a frozen worker sends on waking.
"""

from collections.abc import Callable, Sequence

from confluent_kafka import KafkaError

from schemas.topics import DEAD_LETTERS
from streams.runtime.deadletter import kept
from streams.runtime.delivery import Delivery
from streams.runtime.denial import in_words
from streams.runtime.envelope import Envelope, Header
from streams.runtime.first_records import FirstRecords
from streams.runtime.kafka import Clients
from streams.settings import KafkaSettings

Dated = tuple[str, int, bytes | None, bytes | None, Sequence[Header], int]
"""Topic, partition, key, value, headers, and when it was decided."""


class DeliveryFailedError(Exception):
    """The broker did not take a record within the delivery timeout: this worker must start over from its commits."""


class Outbox:
    """One producer. `confirm` is the only way to know that what was sent is safe."""

    def __init__(self, clients: Clients, kafka: KafkaSettings, stage: str, now_ms: Callable[[], int]) -> None:
        self._kafka = kafka
        self._now_ms = now_ms
        self._decided_ms: int | None = None
        self._failure: KafkaError | None = None
        self._held: list[Envelope] = []
        self._first = FirstRecords()
        self._behind: list[Dated] = []  # a partition's first record
        self._producer = clients.producer(stage, self._on_failure)

    def _on_failure(self, error: KafkaError) -> None:
        self._failure = error

    def date(self, decided_ms: int) -> None:
        """What is sent from now on follows from decisions of this time. It becomes the records' own, by which brokers
        tell what comes too late (docs/decisions/0007). Without it, records are dated when they are sent.
        """
        self._decided_ms = decided_ms

    def send(self, envelopes: Sequence[Envelope]) -> None:
        """Raises DeliveryFailedError when the decisions are so old that brokers would refuse them, and KafkaException
        when the client takes no such record; or `confirm` does, of what waits behind a partition's first record.
        """
        for envelope in envelopes:
            self._send(envelope.topic, envelope.partition, envelope.key, envelope.value, envelope.headers)

    def hold(self, envelopes: Sequence[Envelope]) -> None:
        """Sent by `confirm`, once everything that was sent before is safe."""
        self._held += envelopes

    def send_dead_letter(self, cause: Delivery, headers: list[tuple[str, bytes]]) -> None:
        """The original bytes and key, as far as there is room, on the original's partition number."""
        partition, room = cause.partition % self._kafka.partitions, kept(cause)
        self._send(self._kafka.topic(DEAD_LETTERS), partition, room.key, room.value, headers)

    def _send(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Sequence[Header]
    ) -> None:
        dated_ms = self._now_ms() if self._decided_ms is None else self._decided_ms
        if self._first.must_wait((topic, partition)):
            self._behind.append((topic, partition, key, value, headers, dated_ms))
        else:
            self._produce(topic, partition, key, value, headers, dated_ms)

    def _produce(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[Header],
        dated_ms: int,
    ) -> None:
        while True:
            # by the clock that dates the records: what brokers would refuse is not even sent to where they would not
            now_ms = self._now_ms()
            if now_ms - dated_ms > self._kafka.delivery_timeout_ms:
                raise DeliveryFailedError(
                    "this worker was away for so long that others may do its work: it starts over"
                )
            try:
                self._producer.produce(topic, value, key, partition, timestamp=dated_ms, headers=[*headers])
            except BufferError:  # the local queue is full: the broker sets the pace
                self._producer.poll(0.1)
            else:
                self._first.sent((topic, partition), now_ms)
                return

    @property
    def waiting(self) -> int:
        """Records sent or held, and not confirmed."""
        return len(self._producer) + len(self._behind) + len(self._held)

    @property
    def is_clear(self) -> bool:
        """Nothing that was sent can still be written. What was given up without the broker's word can."""
        return not len(self._producer) and self._failure is None

    def confirm(self, timeout_s: float) -> bool:
        """True when everything sent so far is safe; False when some is still on its way after `timeout_s`.

        Raises DeliveryFailedError when the broker refused or never took a record, and as `send` does of what it sends
        itself. Nothing is confirmed from then on.
        """
        until_ms = self._now_ms() + int(timeout_s * 1000)
        while self._flush(until_ms):
            if self._behind:
                for record in self._behind:
                    self._produce(*record)
                self._behind.clear()
            elif self._held:
                self.send(self._held)
                self._held.clear()
            else:
                return True
        return False

    def _flush(self, until_ms: int) -> bool:
        waiting = self._producer.flush(max(until_ms - self._now_ms(), 0) / 1000)
        if self._failure is not None:
            raise DeliveryFailedError(_reason(self._failure))
        if waiting == 0:
            self._first.written()
        return waiting == 0


_TOO_LATE = frozenset(
    {
        KafkaError.INVALID_TIMESTAMP,
        # of several records in one request, the client tells one that is too old from one in its company
        KafkaError.INVALID_RECORD,
        KafkaError._INVALID_DIFFERENT_RECORD,  # noqa: SLF001  # a public error code whose name has an underscore
    }
)


def _reason(failure: KafkaError) -> str:
    if failure.code() in _TOO_LATE:
        return (
            "a record was refused for its time: this worker was away for too long, or its clock and the broker's "
            "differ, which `millrace doctor` would tell"
        )
    return f"a record was not written: {in_words(failure)}"
