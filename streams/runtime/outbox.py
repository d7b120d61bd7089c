"""Records on their way out of a synchronous stage. Confirmed before any offset moves."""

from collections.abc import Sequence

from confluent_kafka import KafkaError

from schemas.topics import DEAD_LETTERS
from streams.runtime.delivery import Delivery
from streams.runtime.envelope import Envelope
from streams.runtime.kafka import Clients
from streams.settings import KafkaSettings


class DeliveryFailedError(Exception):
    """The broker did not take a record within the delivery timeout: this worker must start over from its commits."""


class Outbox:
    """One producer. `confirm` is the only way to know that what was sent is safe."""

    def __init__(self, clients: Clients, kafka: KafkaSettings, stage: str) -> None:
        self._kafka = kafka
        self._failure: KafkaError | None = None
        self._producer = clients.producer(stage, self._on_failure)

    def _on_failure(self, error: KafkaError) -> None:
        self._failure = error

    def send(self, envelopes: Sequence[Envelope]) -> None:
        for envelope in envelopes:
            self._produce(envelope.topic, envelope.partition, envelope.key, envelope.value, envelope.headers)

    def send_dead_letter(self, cause: Delivery, headers: list[tuple[str, bytes]]) -> None:
        """The original bytes and key, on the original's partition number."""
        partition = cause.partition % self._kafka.partitions
        self._produce(self._kafka.topic(DEAD_LETTERS), partition, cause.key, cause.value, headers)

    def _produce(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, partition, headers=[*headers])
            except BufferError:  # the local queue is full: the broker sets the pace
                self._producer.poll(0.1)
            else:
                return

    @property
    def waiting(self) -> int:
        """Records sent and not confirmed."""
        return len(self._producer)

    def confirm(self, timeout_s: float) -> bool:
        """True when everything sent so far is safe; False when some is still on its way after `timeout_s`.

        Raises DeliveryFailedError when the broker refused or never took a record.
        """
        waiting = self._producer.flush(timeout_s)
        if self._failure is not None:
            raise DeliveryFailedError(f"a record was not written: {self._failure.str()}")
        return waiting == 0
