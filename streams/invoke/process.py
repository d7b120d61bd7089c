"""Puts the invoke stage together: clients, providers, lanes, and its event loop."""

import asyncio
import resource
import signal
import threading

import uuid_utils
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from streams.clock import now_ms
from streams.garbage import keep_garbage_young
from streams.invoke.backlog import ReadAhead
from streams.invoke.caller import Caller, Surroundings
from streams.invoke.clients import consumer_options, producer_options
from streams.invoke.lanes import Lanes
from streams.invoke.others import Others
from streams.invoke.outbox import AsyncOutbox
from streams.invoke.tenure import HARD_S
from streams.invoke.work import STAGE
from streams.invoke.worker import InvokeWorker
from streams.observe.health import Progress
from streams.observe.last_resort import exit_hard
from streams.observe.metrics import Metrics
from streams.provider_keys import ProviderKeys, process_environment
from streams.providers.registry import Registry
from streams.runtime.follower import ControlFollower, wait_for_configuration
from streams.runtime.kafka import ConfluentClients
from streams.runtime.offset_fetch import tell_the_truth_of_offsets
from streams.runtime.restore import TableReader
from streams.settings import InvokeSettings, KafkaSettings, WorkerSettings
from streams.stages.invoke import Backoff

CLOSE_S = 20.0
"""For closing the clients after the drain."""
GARBAGE_OBJECTS = 400_000
"""Ten thousand calls in flight are a million objects, and a look at 50 000 of them takes 40 ms: a third of our CPU."""
GARBAGE_ROUNDS = 3
"""Less than is usual: calls outlive a round, and what is left of one that is let go may be a circle."""
_TOO_LONG = "the process did not end in time after it was told to stop or failed"


def run_invoke(
    kafka: KafkaSettings, worker: WorkerSettings, invoke: InvokeSettings, metrics: Metrics, progress: Progress
) -> None:
    """Blocks until SIGTERM or SIGINT."""
    keep_garbage_young(GARBAGE_OBJECTS, rounds=GARBAGE_ROUNDS)
    _open_all_files_allowed()
    last_resort = threading.Timer(invoke.drain_ms / 1000 + HARD_S + CLOSE_S, exit_hard, [_TOO_LONG])
    last_resort.daemon = True
    try:
        asyncio.run(_run(kafka, worker, invoke, metrics, progress, last_resort))
    finally:
        last_resort.cancel()


def _open_all_files_allowed() -> None:
    """Each call under way has a connection, and most systems let a process open 1024 files until it asks for more."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _run(
    kafka: KafkaSettings,
    worker: WorkerSettings,
    invoke: InvokeSettings,
    metrics: Metrics,
    progress: Progress,
    last_resort: threading.Timer,
) -> None:
    stop, give_up_waiting = asyncio.Event(), threading.Event()

    def on_signal() -> None:
        _arm(last_resort)
        stop.set()
        give_up_waiting.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    clients = ConfluentClients(kafka)
    follower = ControlFollower(clients, kafka)
    await asyncio.to_thread(wait_for_configuration, follower, give_up_waiting)
    providers = Registry(ProviderKeys(invoke.secrets_dir, process_environment()))
    consumer = AIOKafkaConsumer(**consumer_options(kafka, STAGE))
    producer = AIOKafkaProducer(**producer_options(kafka, STAGE))
    reader = TableReader(clients, STAGE, metrics)
    others = Others(clients, reader, kafka, me=_new_id(), window_ms=worker.answered_window_s * 1000, now_ms=now_ms)
    try:
        await producer.start()
        await consumer.start()
        tell_the_truth_of_offsets(consumer)
        await InvokeWorker(
            consumer,
            AsyncOutbox(kafka, producer),
            Caller(
                providers,
                lambda: follower.view,
                Surroundings(now_ms, _new_id, asyncio.sleep),
                Backoff(invoke.backoff_ms, invoke.backoff_cap_ms),
                metrics,
            ),
            follower,
            others,
            Lanes({"high": invoke.in_flight_high, "normal": invoke.in_flight_normal, "low": invoke.in_flight_low}),
            kafka=kafka,
            settings=worker,
            drain_ms=invoke.drain_ms,
            now_ms=now_ms,
            metrics=metrics,
            progress=progress,
            reconfigured=lambda view: providers.keep(view.deployments),
            read_ahead=ReadAhead(invoke.read_ahead, invoke.read_ahead_mib * 1024 * 1024),
        ).run(stop)
    finally:
        _arm(last_resort)
        await consumer.stop()
        await producer.stop()
        await providers.close()
        follower.close()
        reader.close()


def _new_id() -> str:
    return str(uuid_utils.uuid7())


def _arm(last_resort: threading.Timer) -> None:
    if not last_resort.is_alive():
        last_resort.start()
