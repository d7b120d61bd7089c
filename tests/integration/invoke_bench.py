"""The invoke worker with real clients on a thread, and providers that answer when the test says so."""

import asyncio
import itertools
import threading
from collections.abc import Iterable
from typing import Any

import uuid_utils
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from msgspec.structs import replace

from schemas.control import Deployment
from schemas.flow import Completion, Dispatch
from schemas.partition import partition_for
from schemas.prompt import UserMessage
from schemas.topics import CALLS, COMPLETIONS, DEAD_LETTERS, DISPATCH, HANDOVERS
from scripts.stack.readiness import holds_within
from streams.clock import now_ms
from streams.invoke.caller import Caller, Surroundings
from streams.invoke.clients import consumer_options, producer_options
from streams.invoke.lanes import Lanes
from streams.invoke.others import Others
from streams.invoke.outbox import AsyncOutbox
from streams.invoke.work import STAGE
from streams.invoke.worker import InvokeWorker
from streams.observe.health import Progress
from streams.observe.metrics import Metrics
from streams.providers.protocol import Question, Reply
from streams.runtime.follower import ControlFollower, wait_for_configuration
from streams.runtime.kafka import ConfluentClients
from streams.runtime.restore import TableReader
from streams.settings import KafkaSettings, WorkerSettings
from streams.stages.invoke import Backoff
from tests.fakes.provider import saying
from tests.integration.kafka_log import WITHIN_S
from tests.integration.worker_thread import QUICK, Bench, WorkerThread
from tests.unit.examples import carried, dispatch, prompt, ticket


class Desk:
    """Stands for all providers. Questions named in `held` wait until `release`; those in `broken` raise."""

    def __init__(self, *held: str, broken: Iterable[str] = ()) -> None:
        self.asked: list[str] = []
        self.cancelled: list[str] = []
        self._held = set(held)
        self._broken = frozenset(broken)
        self._waiting: dict[str, tuple[asyncio.AbstractEventLoop, asyncio.Event]] = {}

    async def ask(self, deployment: Deployment, question: Question) -> Reply:
        (message,) = question.prompt.messages
        assert isinstance(message, UserMessage)
        name = str(message.content)
        self.asked.append(name)
        if name in self._broken:
            raise RuntimeError("a bug of ours")
        if name in self._held:
            gate = asyncio.Event()
            self._waiting[name] = (asyncio.get_running_loop(), gate)
            try:
                await gate.wait()
            except asyncio.CancelledError:
                self.cancelled.append(name)
                raise
        return saying(f"{deployment.name} answers {name}")

    def release(self, *names: str) -> None:
        """Those waiting answer now, and all of these names answer at once from now on."""
        self._held.difference_update(names)
        assert holds_within(WITHIN_S, lambda: set(names) <= self._waiting.keys())
        for name in names:
            loop, gate = self._waiting.pop(name)
            loop.call_soon_threadsafe(gate.set)

    def await_asked(self, *names: str) -> None:
        assert holds_within(WITHIN_S, lambda: set(names) <= set(self.asked)), self.asked


def new_id() -> str:
    return str(uuid_utils.uuid7())


class InvokeRun:
    """Has the shape of the synchronous workers, so that it can run on a thread."""

    def __init__(
        self,
        kafka: KafkaSettings,
        desk: Desk,
        metrics: Metrics,
        progress: Progress,
        *,
        lanes: tuple[int, int, int],
        drain_ms: int,
        consumer_type: type[AIOKafkaConsumer] = AIOKafkaConsumer,
        reader_type: type[TableReader] = TableReader,
    ) -> None:
        self._kafka = kafka
        self._desk = desk
        self._metrics = metrics
        self._progress = progress
        self._lanes = lanes
        self._drain_ms = drain_ms
        self._consumer_type = consumer_type
        self._reader_type = reader_type

    def run(self, stop: threading.Event) -> None:
        asyncio.run(self._run(stop))

    async def _run(self, stop: threading.Event) -> None:
        told = asyncio.Event()

        async def tell() -> None:
            await asyncio.to_thread(stop.wait)
            told.set()

        telling = asyncio.create_task(tell())
        clients = ConfluentClients(self._kafka)
        follower = ControlFollower(clients, self._kafka)
        await asyncio.to_thread(wait_for_configuration, follower, stop)
        options: dict[str, Any] = consumer_options(self._kafka, STAGE)
        consumer = self._consumer_type(**options)
        producer = AIOKafkaProducer(**producer_options(self._kafka, STAGE))
        reader = self._reader_type(clients, STAGE, self._metrics)
        await producer.start()
        await consumer.start()
        try:
            others = Others(clients, reader, self._kafka, me=new_id(), window_ms=3_600_000, now_ms=now_ms)
            await self._worker(consumer, producer, follower, others).run(told)
        finally:
            stop.set()
            await telling
            await consumer.stop()
            await producer.stop()
            follower.close()
            reader.close()

    def _worker(
        self, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, follower: ControlFollower, others: Others
    ) -> InvokeWorker:
        high, normal, low = self._lanes
        world = Surroundings(now_ms, new_id, asyncio.sleep)

        async def reconfigured(_view: object) -> None:
            """Keeps no clients."""

        return InvokeWorker(
            consumer,
            AsyncOutbox(self._kafka, producer),
            Caller(self._desk, lambda: follower.view, world, Backoff(10, 50), self._metrics),
            follower,
            others,
            Lanes({"high": high, "normal": normal, "low": low}),
            kafka=self._kafka,
            settings=WorkerSettings(**QUICK),
            drain_ms=self._drain_ms,
            now_ms=now_ms,
            metrics=self._metrics,
            progress=self._progress,
            reconfigured=reconfigured,
        )


class InvokeBench(Bench):
    def prepare(self) -> None:
        self.configure()
        self.log.create(*DISPATCH.values(), COMPLETIONS, HANDOVERS, CALLS, DEAD_LETTERS)

    def start_invoke(
        self,
        desk: Desk,
        *,
        lanes: tuple[int, int, int] = (8, 8, 8),
        drain_ms: int = 10_000,
        consumer_type: type[AIOKafkaConsumer] = AIOKafkaConsumer,
        reader_type: type[TableReader] = TableReader,
    ) -> WorkerThread:
        def make(metrics: Metrics, progress: Progress) -> InvokeRun:
            return InvokeRun(
                self.kafka,
                desk,
                metrics,
                progress,
                lanes=lanes,
                drain_ms=drain_ms,
                consumer_type=consumer_type,
                reader_type=reader_type,
            )

        return self.run(make)

    def ids(self, partition: int, count: int) -> list[str]:
        """So many request ids that belong on this partition, as `route` would place them."""
        numbered = (f"p{partition}-{number}" for number in itertools.count())
        mine = (name for name in numbered if partition_for(name.encode(), self.kafka.partitions) == partition)
        return list(itertools.islice(mine, count))

    def dispatch(self, *names: str, priority: Any = "normal", partition: int = 0, timeout_ms: int = 15_000) -> None:
        """The name is the request's id and all that is asked."""
        for name in names:
            event: Dispatch = dispatch(ticket_=ticket(name, priority=priority), timeout_ms=timeout_ms)
            event = replace(event, prompt=carried(prompt(name)))
            self.log.write(DISPATCH[priority], event, key=name, partition=partition)
        self.log.flush()

    def completed(self) -> list[str]:
        """The ids of all completions, with repetitions."""
        return sorted(completion.ticket.request_id for completion in self.log.events(COMPLETIONS, Completion))

    def await_completed(self, *names: str) -> None:
        assert holds_within(WITHIN_S, lambda: self.completed() == sorted(names)), self.completed()
