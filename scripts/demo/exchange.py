"""Publishes requests as an outsider would, and reads the answers back."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    on_sent: Callable[[], None],
) -> None:
    """Returns when the broker has acknowledged all of them; paced, so that what is measured is not our own queue."""
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
        on_sent()
    if producer.flush(60):
        raise TimeoutError("the broker did not acknowledge the requests within 60 s")


class Answers:
    """Every response since the moment this was made, whoever asked."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._consumer = Consumer(reader_config(kafka))
        topic = kafka.topic(RESPONSES)
        ends = [
            TopicPartition(topic, partition, self._consumer.get_watermark_offsets(TopicPartition(topic, partition))[1])
            for partition in range(kafka.partitions)
        ]
        self._consumer.assign(ends)
        self.responses: list[Response] = []

    def wait_for(self, request_ids: Iterable[str], *, quiet_s: float, on_answer: Callable[[], None]) -> None:
        """Returns when every id has an answer, or nothing has come for `quiet_s`; then listens a moment longer, so
        that a second answer to the same request would be seen.
        """
        open_ids = set(request_ids)
        until_s = time.monotonic() + quiet_s
        while open_ids and time.monotonic() < until_s:
            for response in self._poll(0.2):
                until_s = time.monotonic() + quiet_s
                if response.request_id in open_ids:
                    open_ids.remove(response.request_id)
                    on_answer()
        linger_s = time.monotonic() + 1
        while time.monotonic() < linger_s:
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
        return found

    def close(self) -> None:
        self._consumer.close()
