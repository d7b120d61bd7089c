"""The worlds aiokafka's clients are held to their contract in: a cluster in memory, and a real broker."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NoReturn, Protocol, cast

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from schemas.topics import Topic
from streams.invoke.clients import consumer_options, producer_options
from streams.settings import KafkaSettings
from tests.contract.kafka_worlds import InMemory, OnABroker
from tests.fakes.kafka.aio import FakeAioConsumer, FakeAioProducer
from tests.fakes.kafka.host import Host
from tests.simulated.loop import VirtualLoop

STAGE = "invoke"


class AioWorld(Protocol):
    """A group waits for a member that does not let go for as long as a session lasts."""

    kafka: KafkaSettings

    def now_ms(self) -> int: ...

    def create(self, topic: Topic, config: Mapping[str, str] | None = None) -> str:
        """Returns its full name. Two partitions; `config` overrides what the topic is to be like."""
        ...

    def run(self, body: Coroutine[Any, Any, None]) -> None: ...

    def consumer(self) -> AIOKafkaConsumer: ...

    def producer(self) -> AIOKafkaProducer: ...

    def close(self) -> None: ...


class AioInMemory(InMemory):
    def run(self, body: Coroutine[Any, Any, None]) -> None:
        loop = VirtualLoop(self.host, _NoThreads())
        try:
            loop.run_until_complete(body)
        finally:
            loop.dispose()

    def consumer(self) -> AIOKafkaConsumer:
        return cast("AIOKafkaConsumer", FakeAioConsumer(self.host, self.kafka.group(STAGE)))

    def producer(self) -> AIOKafkaProducer:
        return cast("AIOKafkaProducer", FakeAioProducer(self.host, 40_000))


class AioOnABroker(OnABroker):
    def run(self, body: Coroutine[Any, Any, None]) -> None:
        asyncio.run(body)

    def consumer(self) -> AIOKafkaConsumer:
        options: dict[str, Any] = {**consumer_options(self.kafka, STAGE)}
        options["rebalance_timeout_ms"] = self.kafka.session_timeout_ms
        return AIOKafkaConsumer(**options)

    def producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(**producer_options(self.kafka, STAGE))


class _NoThreads:
    def start(self, host: Host, body: Callable[[], None]) -> NoReturn:
        raise RuntimeError(f"{host.name} was to run {body} beside its loop")
