"""A producer that knows what arrived: nothing counts as sent before the brokers have acknowledged it."""

from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from scripts.cli.fault import Fault, kafka_reason
from scripts.cli.kafka import QUIET
from streams.runtime.clients import producer_config
from streams.settings import KafkaSettings

GIVE_UP_MS = 30_000
"""Somebody is waiting at a terminal: a broker that is silent for longer is reported as away."""

Headers = Sequence[tuple[str, bytes]]


class ConfirmedProducer:
    def __init__(self, kafka: KafkaSettings) -> None:
        config = producer_config(kafka, "cli")
        config["delivery.timeout.ms"] = min(kafka.delivery_timeout_ms, GIVE_UP_MS)
        config["delivery.report.only.error"] = False
        # Fetching a producer id holds the first record back half a second after it was dated. Without one a retry may
        # write a record twice: request ids and the names of control objects make that harmless.
        config["enable.idempotence"] = False
        config["max.in.flight.requests.per.connection"] = 1
        self._producer = Producer({**config, **QUIET, "on_delivery": self._on_delivery})
        self._failure: KafkaError | None = None
        self.confirmed = 0
        self.last_offset = -1

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failure = error
            return
        self.confirmed += 1
        self.last_offset = message.offset() or 0

    def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers, *, partition: int = -1
    ) -> None:
        """Waits while the local queue is full. Raises Fault on the first record that was refused."""
        while True:
            try:
                self._producer.produce(topic, value, key, partition, headers=[*headers])
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:
                raise Fault(f"a record of {len(value or b'')} bytes was not taken: {kafka_reason(error)}") from error
            else:
                break
        self._producer.poll(0)
        self._check()

    def confirm(self) -> None:
        """Returns when everything sent is acknowledged. Raises Fault when some of it never will be."""
        while self._producer.flush(1.0):
            self._check()
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise Fault(
                f"Kafka did not take a record ({self._failure.str()}); {self.confirmed} before it arrived. Check the "
                "cluster with: millrace doctor"
            )
