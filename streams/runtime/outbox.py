"""Records on their way out: encoded before anything is sent, confirmed before any offset moves."""

from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaError, Message, Producer

from schemas.headers import outgoing
from schemas.partition import partition_for
from schemas.topics import DEAD_LETTERS, Topic
from streams.runtime.clients import producer_config
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import Record
from streams.settings import KafkaSettings

RECORD_OVERHEAD_BYTES = 4 * 1024
"""Headers and framing count towards the topic's limit; ours stay below this."""


class OversizedRecordError(Exception):
    """An outcome would not fit on its topic."""


class DeliveryFailedError(Exception):
    """The broker did not take a record within the delivery timeout: this worker must start over from its commits."""


@dataclass(frozen=True, slots=True)
class Envelope:
    topic: str
    partition: int
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


class Outbox:
    """One producer. `confirm` is the only way to know that what was sent is safe."""

    def __init__(self, kafka: KafkaSettings, stage: str) -> None:
        self._kafka = kafka
        self._source = f"millrace/{stage}"
        self._failure: KafkaError | None = None
        self._producer = Producer({**producer_config(kafka, stage), "on_delivery": self._on_delivery})

    def _on_delivery(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._failure = error

    def encode(self, records: Sequence[Record], cause: Delivery, now_ms: int) -> list[Envelope]:
        """Ids are made of the causing record's position, so a repeated decision repeats its ids. Sends nothing.

        Raises OversizedRecordError, naming the topic and both sizes.
        """
        return [self._envelope(record, cause, number, now_ms) for number, record in enumerate(records)]

    def _envelope(self, record: Record, cause: Delivery, number: int, now_ms: int) -> Envelope:
        value = record.event.encode()
        topic = record.topic
        if len(value) + RECORD_OVERHEAD_BYTES > topic.max_message_bytes:
            raise OversizedRecordError(
                f"{len(value)} bytes for topic {topic.name}, which takes {topic.max_message_bytes}"
            )
        headers = outgoing(
            f"millrace.{topic.name}.v1",
            f"{cause.topic}/{cause.partition}/{cause.offset}/{number}",
            self._source,
            now_ms,
            None,
        )
        return Envelope(self._kafka.topic(topic), self._partition(topic, record), record.key.encode(), value, headers)

    def _partition(self, topic: Topic, record: Record) -> int:
        if topic.partitions == 1:
            return 0
        return partition_for((record.partition_by or record.key).encode(), self._kafka.partitions)

    def send(self, envelopes: Sequence[Envelope]) -> None:
        for envelope in envelopes:
            self._produce(envelope.topic, envelope.partition, envelope.key, envelope.value, envelope.headers)

    def send_dead_letter(self, cause: Delivery, headers: list[tuple[str, bytes]]) -> None:
        """The original bytes and key, on the original's partition number."""
        partition = cause.partition % self._kafka.partitions
        self._produce(self._kafka.topic(DEAD_LETTERS), partition, cause.key, cause.value, headers)

    def _produce(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, partition, headers=headers)
            except BufferError:  # the local queue is full: the broker sets the pace
                self._producer.poll(0.1)
            else:
                return

    def confirm(self, timeout_s: float) -> bool:
        """True when everything sent so far is safe; False when some is still on its way after `timeout_s`.

        Raises DeliveryFailedError when the broker refused or never took a record.
        """
        waiting = self._producer.flush(timeout_s)
        if self._failure is not None:
            raise DeliveryFailedError(f"a record was not written: {self._failure.str()}")
        return waiting == 0
