"""The clients of one process on a cluster in memory, made as `ConfluentClients` makes the real ones."""

from streams.runtime.clients import producer_config
from streams.runtime.kafka import OnFailure
from streams.settings import KafkaSettings
from tests.fakes.kafka.consumer import FakeConsumer
from tests.fakes.kafka.host import Host
from tests.fakes.kafka.producer import FakeProducer
from tests.fakes.kafka.reader import FakeReader


class FakeClients:
    def __init__(self, host: Host, kafka: KafkaSettings) -> None:
        self._host = host
        self._kafka = kafka

    def group_consumer(self, stage: str) -> FakeConsumer:
        return FakeConsumer(self._host, self._kafka.group(stage))

    def reader(self, *, fetch_wait_ms: int | None = None) -> FakeReader:  # noqa: ARG002  # ends are told at once
        return FakeReader(self._host)

    def producer(self, stage: str, on_failure: OnFailure) -> FakeProducer:
        return FakeProducer(self._host, producer_config(self._kafka, stage)["delivery.timeout.ms"], on_failure)
