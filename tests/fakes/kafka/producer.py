"""librdkafka's producer, as the application sees it."""

from collections import deque

from confluent_kafka import KafkaError, KafkaException

from streams.runtime.clients import LARGEST_RECORD_BYTES
from streams.runtime.kafka import Headers, OnFailure
from tests.fakes.kafka.host import Host
from tests.fakes.kafka.outgoing import Outgoing, Sent


class FakeProducer:
    def __init__(self, host: Host, delivery_timeout_ms: int, on_failure: OnFailure) -> None:
        self._host = host
        self._outgoing = Outgoing(host, delivery_timeout_ms, pipelines=True)
        self._on_failure = on_failure
        self._unsettled = 0
        self._failures: deque[KafkaError] = deque()

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        *,
        headers: Headers,
        timestamp: int = 0,
    ) -> None:
        self._host.call("produce")
        if len(value or b"") > LARGEST_RECORD_BYTES:
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
        if self._unsettled and self._host.conditions.happens("queue full"):
            raise BufferError("Local: Queue full")
        raw = tuple(
            (name, content.encode() if isinstance(content, str) else content or b"") for name, content in headers
        )
        dated_ms = timestamp or self._host.timeline.now_ms
        self._unsettled += 1
        self._outgoing.send(Sent((topic, partition), key, value, raw, dated_ms, self._over))

    def _over(self, refusal: int | None) -> None:
        self._unsettled -= 1
        if refusal is not None:
            self._failures.append(KafkaError(refusal))

    def poll(self, timeout: float, /) -> int:
        self._host.call("poll producer")
        self._host.wait(lambda: bool(self._failures) or not self._unsettled, timeout)
        return self._report()

    def flush(self, timeout: float, /) -> int:
        self._host.call("flush")
        self._host.wait(lambda: not self._unsettled, timeout)
        self._report()
        return len(self)

    def __len__(self) -> int:
        return self._unsettled + len(self._failures)

    def _report(self) -> int:
        count = len(self._failures)
        while self._failures:
            self._on_failure(self._failures.popleft())
        return count
