"""One process of `watch`, from its settings to its exit status."""

import asyncio
import logging
import shutil
import time
from pathlib import Path

import faust
from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException
from faust.exceptions import ConsistencyError

from streams.clock import now_ms
from streams.garbage import keep_garbage_young
from streams.observe.crashes import tell_crashes
from streams.observe.health import ObservationServer, Progress
from streams.observe.logs import configure_logging, logger
from streams.observe.metrics import Metrics
from streams.runtime.spill import Spill, SpilledError
from streams.settings import KafkaSettings, ObserveSettings, WorkerSettings
from streams.watch.app import watch_app
from streams.watch.connection import STAGE
from streams.watch.settings import WatchSettings
from streams.watch.standstill import Guard

log = logger(__name__)


def run_watch(kafka: KafkaSettings, watch: WatchSettings, worker: WorkerSettings, observe: ObserveSettings) -> None:
    """Returns after SIGTERM or SIGINT, when what was begun is finished and committed. Raises aiokafka's KafkaError or
    KafkaException on what the cluster refuses, SpilledError when most of what is read cannot be handled, and SystemExit
    with a status other than 0 on anything else that a fresh start may cure; whoever supervises the process starts it
    again. A start or end that stands still ends by force.
    """
    configure_logging(STAGE, observe.log_level)
    tell_crashes()
    _make(watch.data_dir)
    metrics = Metrics()
    progress = Progress(now_ms, observe.stall_s * 1_000)
    with ObservationServer(observe.host, observe.port, progress.health, metrics) as server:
        server.write_port(observe.port_file)
        app = watch_app(
            kafka, watch, Spill(STAGE, worker, by_batch=True), metrics=metrics, progress=progress, now_ms=now_ms
        )
        keep_garbage_young()
        with Guard(app, progress.health, time.monotonic):
            _run(app)


def _make(data_dir: Path) -> None:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemExit(f"MILLRACE_WATCH_DATA_DIR: {data_dir} cannot be created: {error.strerror}") from error


def _run(app: faust.App) -> None:
    # a kill may have torn what is on disk, and all of it is on the changelogs: it is read back, never trusted
    shutil.rmtree(app.conf.tabledir, ignore_errors=True)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    # our own logging stays in force: Faust's would print tables and a spinner to standard output
    worker = faust.Worker(app, loop=loop, override_logging=False, quiet=True, redirect_stdouts=False)
    worker.spinner = None
    _calm_the_libraries()
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        if isinstance(worker.crash_reason, ConsistencyError):
            log.error("tables_ahead_of_their_changelogs", todo="none: they are rebuilt at the next start")
        reason = worker.crash_reason or end.__context__
        if isinstance(reason, KafkaError | KafkaException | SpilledError):
            raise reason from None  # what is no bug of the moment: whoever called us says it
        if end.code:
            raise
    finally:
        loop.close()
    log.info("stopped")


def _calm_the_libraries() -> None:
    logging.getLogger("faust.worker").addFilter(_without_needless_traceback)
    # under load it warns many times a second that a buffer is full, which is how it waits for the broker
    logging.getLogger("faust.transport.producer").setLevel(logging.ERROR)


def _without_needless_traceback(record: logging.LogRecord) -> bool:
    """What Kafka refuses is said in a sentence; where in a library it was noticed helps nobody."""
    if record.exc_info and isinstance(record.exc_info[1], KafkaError | KafkaException | SpilledError):
        record.exc_info = None
    return True
