"""The worlds Kafka clients are held to their contract in: a cluster in memory, and a real broker."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from confluent_kafka import Consumer
from typing_extensions import override

from schemas.topics import Topic
from streams.clock import now_ms
from streams.runtime.clients import consumer_config
from streams.runtime.cluster import wanted
from streams.runtime.kafka import Clients, ConfluentClients, GroupConsumer
from streams.settings import KafkaSettings
from tests.fakes.kafka.clients import FakeClients
from tests.fakes.kafka.cluster import Cluster
from tests.fakes.kafka.conditions import Steady
from tests.fakes.kafka.host import Host
from tests.fakes.kafka.timeline import Timeline
from tests.integration.kafka_log import KafkaLog
from tests.unit.examples import NOW_MS


class World(Protocol):
    """A group waits for a member that does not poll for as long as a session lasts."""

    kafka: KafkaSettings
    clients: Clients

    def now_ms(self) -> int: ...

    def create(self, topic: Topic, config: Mapping[str, str] | None = None) -> str:
        """Returns its full name. Two partitions; `config` overrides what the topic is to be like."""
        ...

    def close(self) -> None: ...


class InMemory:
    def __init__(self) -> None:
        self.kafka = KafkaSettings(partitions=2, session_timeout_ms=6_000, delivery_timeout_ms=2_000)
        self._timeline = Timeline(NOW_MS)
        session_ms = self.kafka.session_timeout_ms
        self._cluster = Cluster(self._timeline, session_ms=session_ms, rebalance_ms=session_ms)
        self.host = Host("host", self._cluster, Steady(self._timeline))
        self.clients: Clients = FakeClients(self.host, self.kafka)

    def now_ms(self) -> int:
        return self._timeline.now_ms

    def create(self, topic: Topic, config: Mapping[str, str] | None = None) -> str:
        asked = wanted(topic, self.kafka)
        self._cluster.create([replace(asked, config={**asked.config, **(config or {})})])
        return asked.name

    def close(self) -> None:
        """Nothing is left of it."""


class ImpatientClients(ConfluentClients):
    def __init__(self, kafka: KafkaSettings) -> None:
        super().__init__(kafka)
        self._settings = kafka

    @override
    def group_consumer(self, stage: str) -> GroupConsumer:
        return Consumer(
            {**consumer_config(self._settings, stage), "max.poll.interval.ms": self._settings.session_timeout_ms}
        )


class OnABroker:
    def __init__(self, kafka: KafkaSettings) -> None:
        self.kafka = kafka
        self.clients: Clients = ImpatientClients(kafka)
        self._log = KafkaLog(kafka)

    def now_ms(self) -> int:
        return now_ms()

    def create(self, topic: Topic, config: Mapping[str, str] | None = None) -> str:
        self._log.create(topic, config=config)
        return self.kafka.topic(topic)

    def close(self) -> None:
        self._log.close()
