"""Talks to a running stack as an outsider: raw records in, responses and dead letters out."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, Producer, TopicPartition

from schemas.base import dump_json
from schemas.response import Response
from schemas.topics import DEAD_LETTERS, REQUESTS, RESPONSES
from streams.runtime.clients import producer_config, reader_config
from streams.runtime.delivery import Delivery
from streams.runtime.messages import delivery_of
from streams.settings import KafkaSettings

T = TypeVar("T")
WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Sent:
    partition: int
    offset: int


class Conversation:
    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        config = {**producer_config(kafka, "conversation"), "delivery.report.only.error": False}
        self._producer = Producer(config)
        self._consumer = Consumer(reader_config(kafka))
        topics = (kafka.topic(RESPONSES), kafka.topic(DEAD_LETTERS))
        self._consumer.assign([TopicPartition(t, p, OFFSET_BEGINNING) for t in topics for p in range(kafka.partitions)])
        self.responses: list[Response] = []
        self.dead_letters: list[Delivery] = []

    def send(
        self, value: bytes | None, *, key: str | None = "acme-demo-key", headers: Mapping[str, bytes] | None = None
    ) -> Sent:
        """Returns where the broker put it."""
        where: list[Sent] = []

        def written(error: KafkaError | None, message: Message) -> None:
            assert error is None, error
            where.append(Sent(message.partition() or 0, message.offset() or 0))

        given: list[tuple[str, str | bytes | None]] = [*(headers or {}).items()]
        if key is not None:
            given.append(("authorization", f"Bearer {key}".encode()))
        self._producer.produce(self._kafka.topic(REQUESTS), value, headers=given, on_delivery=written)
        assert self._producer.flush(WAIT_S) == 0
        return where[0]

    def ask(
        self,
        request_id: str,
        *,
        key: str | None = "acme-demo-key",
        headers: Mapping[str, bytes] | None = None,
        **fields: object,
    ) -> Sent:
        request = {
            "tenant_id": "acme",
            "model": "fast",
            "messages": [{"role": "user", "content": f"Hello {request_id}"}],
        }
        return self.send(dump_json({"request_id": request_id, **request, **fields}), key=key, headers=headers)

    def answer(self, request_id: str, *, status: str | None = None) -> Response:
        def found() -> Response | None:
            mine = (r for r in self.responses if r.request_id == request_id)
            return next((r for r in mine if status in (None, r.status)), None)

        return self.wait(f"an answer to {request_id}", found)

    def dead_letter(self, sent: Sent) -> Delivery:
        """The one written about the record at this place."""
        place = (str(sent.partition).encode(), str(sent.offset).encode())

        def found() -> Delivery | None:
            return next(
                (
                    letter
                    for letter in self.dead_letters
                    if (dict(letter.headers).get("millrace-partition"), dict(letter.headers).get("millrace-offset"))
                    == place
                ),
                None,
            )

        return self.wait(f"a dead letter about {sent}", found)

    def answers(self, request_id: str) -> Sequence[Response]:
        """All there are after a later question has been answered: a second one would most likely be among them."""
        self.answer(request_id)
        marker = f"after-{request_id}-{time.monotonic_ns()}"
        self.ask(marker)
        self.answer(marker)
        return [r for r in self.responses if r.request_id == request_id]

    def wait(self, what: str, find: Callable[[], T | None]) -> T:
        until_s = time.monotonic() + WAIT_S
        while time.monotonic() < until_s:
            found = find()
            if found is not None:
                return found
            self._read()
        raise AssertionError(f"there was not {what} within {WAIT_S:g} s")

    def _read(self) -> None:
        first = self._consumer.poll(0.1)
        for message in [] if first is None else [first, *self._consumer.consume(500, 0)]:
            if message.error() is not None:
                continue
            delivery = delivery_of(message)
            if delivery.topic == self._kafka.topic(RESPONSES):
                self.responses.append(Response.decode(delivery.value or b""))
            else:
                self.dead_letters.append(delivery)

    def close(self) -> None:
        self._consumer.close()
