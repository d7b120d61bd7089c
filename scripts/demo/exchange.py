"""Publishes requests as an outsider would, and reads the answers back."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from pydantic import SecretStr

from schemas.response import Response
from schemas.topics import REQUESTS, RESPONSES
from streams.runtime.clients import producer_config, reader_config
from streams.runtime.messages import END_OF_PARTITION
from streams.settings import KafkaSettings


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One record for `llm.requests`. `request_id` is what an answer is expected for; None where nobody can be told."""

    request_id: str | None
    tenant_id: str | None
    value: bytes


def publish(
    kafka: KafkaSettings,
    requests: Sequence[Outgoing],
    keys: Mapping[str, SecretStr],
    *,
    per_second: float,
    on_sent: Callable[[Outgoing], None],
) -> None:
    """Returns when the broker has acknowledged all of them; paced, so that what is measured is not our own queue.
    `on_sent` may wait.
    """
    producer = Producer(producer_config(kafka, "demo"))
    producer.list_topics(kafka.topic(REQUESTS), 30)  # connect first: what is measured later is not our own start
    started_s = time.monotonic()
    for number, request in enumerate(requests):
        early_s = started_s + number / per_second - time.monotonic()
        if early_s > 0:
            time.sleep(early_s)
        key = keys.get(request.tenant_id or "")
        headers: list[tuple[str, str | bytes | None]] = (
            [("authorization", f"Bearer {key.get_secret_value()}".encode())] if key else []
        )
        producer.produce(kafka.topic(REQUESTS), request.value, (request.tenant_id or "").encode(), headers=headers)
        producer.poll(0)
        on_sent(request)
    if producer.flush(60):
        raise TimeoutError("the broker did not acknowledge the requests within 60 s")


class Answers:
    """Every response since the moment this was made, whoever asked."""

    def __init__(self, kafka: KafkaSettings, on_answer: Callable[[], None]) -> None:
        """`on_answer` is called once for each request that was expected."""
        self._on_answer = on_answer
        self._open: set[str] = set()
        self._answered: set[str | None] = set()
        self._consumer = Consumer(reader_config(kafka))
        topic = kafka.topic(RESPONSES)
        ends = [
            TopicPartition(topic, partition, self._consumer.get_watermark_offsets(TopicPartition(topic, partition))[1])
            for partition in range(kafka.partitions)
        ]
        self._consumer.assign(ends)
        self.responses: list[Response] = []

    def expect(self, request_id: str) -> None:
        if request_id not in self._answered:
            self._open.add(request_id)

    def wait_for(self, *, quiet_s: float, most_open: int = 0) -> None:
        """Returns when no more than so many of those that are expected are open, or nothing has come for `quiet_s`."""
        until_s = time.monotonic() + quiet_s
        while len(self._open) > most_open and time.monotonic() < until_s:
            if self._poll(0.2):
                until_s = time.monotonic() + quiet_s

    def linger(self) -> None:
        """Listens a moment longer, so that a second answer to the same request would be seen."""
        until_s = time.monotonic() + 1
        while time.monotonic() < until_s:
            self._poll(0.2)

    def _poll(self, timeout_s: float) -> list[Response]:
        found: list[Response] = []
        first = self._consumer.poll(timeout_s)
        for message in [] if first is None else [first, *self._consumer.consume(500, 0)]:
            error = message.error()
            if error is None:
                found.append(Response.decode(message.value() or b""))
            elif error.code() != END_OF_PARTITION and not error.retriable():
                raise KafkaException(error)
        self.responses += found
        for response in found:
            self._answered.add(response.request_id)
            if response.request_id in self._open:
                self._open.remove(response.request_id)
                self._on_answer()
        return found

    def close(self) -> None:
        self._consumer.close()
