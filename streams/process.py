"""One process of one stage, from its settings to its exit code."""

import asyncio
import signal
import threading
import time
from collections.abc import Callable

import uuid_utils
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from streams.invoke.caller import Caller, Surroundings
from streams.invoke.clients import consumer_options, producer_options
from streams.invoke.lanes import Lanes
from streams.invoke.outbox import AsyncOutbox
from streams.invoke.worker import InvokeWorker
from streams.observe.health import ObservationServer, Progress
from streams.observe.logs import configure_logging
from streams.observe.metrics import Metrics
from streams.provider_keys import ProviderKeys, process_environment
from streams.providers.registry import Registry
from streams.runtime.follower import ControlFollower, wait_for_configuration
from streams.runtime.restore import TableReader
from streams.runtime.worker import Worker
from streams.settings import InvokeSettings, KafkaSettings, ObserveSettings, WorkerSettings
from streams.stages.invoke import Backoff
from streams.topology import SYNCHRONOUS


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def run_stage(
    name: str, kafka: KafkaSettings, worker: WorkerSettings, invoke: InvokeSettings, observe: ObserveSettings
) -> None:
    """Blocks until SIGTERM or SIGINT, finishes what it has taken, and returns. Raises what must end the process."""
    configure_logging(name, observe.log_level)
    metrics = Metrics()
    progress = Progress(now_ms, observe.stall_s * 1000)
    with ObservationServer(observe.host, observe.port, progress.health, metrics) as server:
        server.write_port(observe.port_file)
        if name == "invoke":
            asyncio.run(_run_invoke(kafka, worker, invoke, metrics, progress))
        else:
            stop = stop_on_signal()
            Worker(SYNCHRONOUS[name], kafka, worker, now_ms=now_ms, metrics=metrics, progress=progress).run(stop)


def stop_on_signal() -> threading.Event:
    """An event that SIGTERM and SIGINT set; the main thread must be the caller."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    return stop


async def _run_invoke(
    kafka: KafkaSettings, worker: WorkerSettings, invoke: InvokeSettings, metrics: Metrics, progress: Progress
) -> None:
    stop = asyncio.Event()
    configured = threading.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _both(stop.set, configured.set))
    follower = ControlFollower(kafka)
    await asyncio.to_thread(wait_for_configuration, follower, configured)
    providers = Registry(ProviderKeys(invoke.secrets_dir, process_environment()))
    consumer = AIOKafkaConsumer(**consumer_options(kafka, "invoke"))
    producer = AIOKafkaProducer(**producer_options(kafka, "invoke"))
    caller = Caller(
        providers,
        lambda: follower.view,
        Surroundings(now_ms, lambda: str(uuid_utils.uuid7()), asyncio.sleep),
        Backoff(invoke.backoff_ms, invoke.backoff_cap_ms),
        metrics,
    )
    lanes = Lanes({"high": invoke.in_flight_high, "normal": invoke.in_flight_normal, "low": invoke.in_flight_low})
    reader = TableReader(kafka)
    await producer.start()
    await consumer.start()
    try:
        await InvokeWorker(
            consumer,
            AsyncOutbox(kafka, producer),
            caller,
            follower,
            reader,
            lanes,
            kafka=kafka,
            settings=worker,
            drain_ms=invoke.drain_ms,
            now_ms=now_ms,
            metrics=metrics,
            progress=progress,
            reconfigured=lambda view: providers.keep(view.deployments),
        ).run(stop)
    finally:
        await consumer.stop()
        await producer.stop()
        await providers.close()
        follower.close()
        reader.close()


def _both(first: Callable[[], None], second: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        first()
        second()

    return run
