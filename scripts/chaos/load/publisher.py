"""Publishes and never drops: what is not acknowledged is kept and sent again, whatever the outage; what is
acknowledged gets its line in `load.jsonl`.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaError, Message, Producer

from schemas.base import dump_json
from schemas.topics import REQUESTS
from scripts.chaos.load.sending import Sending
from streams.runtime.clients import producer_config
from streams.settings import KafkaSettings

log = logging.getLogger(__name__)
PURGE_S = 5.0
"""What is purged fails at once; only the reports have to be heard."""


class Publisher:
    """Use as a context manager: leaving it closes the file, not the wait for acknowledgements, which is `flush`."""

    def __init__(self, kafka: KafkaSettings, file: Path, now_ms: Callable[[], int]) -> None:
        self._kafka = kafka
        self._topic = kafka.topic(REQUESTS)
        self._now_ms = now_ms
        self._file = file.open("ab", buffering=0)
        self._failed: list[tuple[int, Sending]] = []
        self._sent = 0
        self.acknowledged = 0
        self._producer = self._new_producer()

    @property
    def open(self) -> int:
        return self._sent - self.acknowledged

    def send(self, sending: Sending) -> None:
        self._sent += 1
        self._produce(self._sent, sending)

    def wait(self, timeout_s: float) -> None:
        """Lets acknowledgements in; returns after `timeout_s` at the latest."""
        self._producer.poll(timeout_s)
        if self._failed:
            self.start_over()

    def flush(self) -> None:
        """Returns when everything sent is acknowledged, however long that takes."""
        while self.open:
            self.wait(0.2)

    def _produce(self, number: int, sending: Sending) -> None:
        headers: list[tuple[str, str | bytes | None]] = [("load-number", str(number).encode())]
        if sending.credentials is not None:
            headers.append(("authorization", f"Bearer {sending.credentials}".encode()))

        def reported(error: KafkaError | None, message: Message) -> None:
            if error is None:
                self._acknowledge(number, sending, message)
            else:
                log.warning("not acknowledged, sent again: %s", error.str())
                self._failed.append((number, sending))

        while True:
            try:
                self._producer.produce(self._topic, sending.value, sending.key, headers=headers, on_delivery=reported)
            except BufferError:
                self._producer.poll(0.2)
            else:
                return

    def _acknowledge(self, number: int, sending: Sending, message: Message) -> None:
        """The offset is null where the broker had the record already and no longer says where."""
        line = {
            "at_ms": self._now_ms(),
            "load_number": number,
            "tenant_id": sending.tenant_id,
            "request_id": sending.request_id,
            "kind": sending.kind,
            "partition": message.partition(),
            "offset": message.offset(),
        }
        self._file.write(dump_json(line) + b"\n")
        self.acknowledged += 1

    def start_over(self) -> None:
        """An error that reaches us is one the client itself has given up on. After a fatal one it takes nothing any
        more, so all that waits in it is made to fail too, and goes to a new one.
        """
        self._producer.purge()
        self._producer.flush(PURGE_S)
        self._producer = self._new_producer()
        failed, self._failed = sorted(self._failed, key=lambda each: each[0]), []
        for number, sending in failed:
            self._produce(number, sending)

    def _new_producer(self) -> Producer:
        patient = {"delivery.report.only.error": False, "message.timeout.ms": 0}
        # with two requests on their way, a new leader takes the second without the first, and says that it has both
        careful = {"max.in.flight.requests.per.connection": 1}
        config = {**producer_config(self._kafka, "load"), **patient, **careful}
        del config["delivery.timeout.ms"]  # the same setting under its other name
        return Producer(config)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
