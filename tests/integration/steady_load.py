"""Asks at a steady rate whatever becomes of the answers, and notes when each came."""

import threading
import time
from types import TracebackType
from typing import Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from schemas.base import dump_json
from schemas.response import Response
from schemas.topics import REQUESTS, RESPONSES
from scripts.stack.readiness import holds_within
from streams.runtime.clients import producer_config, reader_config
from streams.settings import KafkaSettings


class SteadyLoad:
    """Use as a context manager: it asks until it is left. No question is like another: each has to be paid for."""

    def __init__(self, kafka: KafkaSettings, name: str, *, per_s: float) -> None:
        self._kafka = kafka
        self._name = name
        self._every_s = 1 / per_s
        self._producer = Producer(producer_config(kafka, "load"))
        self._consumer = Consumer(reader_config(kafka))
        topic = kafka.topic(RESPONSES)
        self._consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(kafka.partitions)])
        self._asking = threading.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self.asked_s: dict[str, float] = {}
        self.answered_s: dict[str, float] = {}
        """Of each id's first answer, by the same clock as `asked_s`."""
        self.answers: list[Response] = []

    def __enter__(self) -> Self:
        self._asking.set()
        self._listening.set()
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._asking.clear()
        try:
            if _kind is None:
                assert holds_within(60, lambda: len(self.answered_s) == len(self.asked_s)), self.unanswered
        finally:
            self._listening.clear()
            self._thread.join()
            self._consumer.close()

    @property
    def unanswered(self) -> list[str]:
        return [asked for asked in list(self.asked_s) if asked not in self.answered_s]

    @property
    def waits_s(self) -> list[float]:
        """From asking to the answer, shortest first."""
        return sorted(self.answered_s[asked] - at_s for asked, at_s in self.asked_s.items() if asked in self.answered_s)

    def _run(self) -> None:
        due_s = time.monotonic()
        while self._listening.is_set():
            left_s = due_s - time.monotonic()
            if self._asking.is_set() and left_s <= 0:
                self._ask(f"{self._name}-{len(self.asked_s)}")
                due_s += self._every_s
            self._producer.poll(0)
            self._listen(min(max(left_s, 0), 0.05))

    def _ask(self, request_id: str) -> None:
        question = {
            "request_id": request_id,
            "tenant_id": "local",
            "model": "smart",
            "messages": [{"role": "user", "content": f"What is special about {request_id}?"}],
        }
        self.asked_s[request_id] = time.monotonic()
        self._producer.produce(self._kafka.topic(REQUESTS), dump_json(question))

    def _listen(self, timeout_s: float) -> None:
        message = self._consumer.poll(timeout_s)
        if message is None or message.error() is not None:
            return
        answer = Response.decode(message.value() or b"")
        if answer.request_id in self.asked_s:
            self.answers.append(answer)
            self.answered_s.setdefault(answer.request_id, time.monotonic())
