"""One process of one stage, from its settings to its exit."""

import signal
import threading

from streams.clock import now_ms
from streams.observe.crashes import tell_crashes
from streams.observe.health import ObservationServer, Progress
from streams.observe.logs import configure_logging
from streams.observe.metrics import Metrics
from streams.settings import InvokeSettings, KafkaSettings, ObserveSettings, WorkerSettings


def stop_on_signal() -> threading.Event:
    """An event that SIGTERM and SIGINT set; the main thread must be the caller."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    return stop


def run_stage(
    name: str, kafka: KafkaSettings, worker: WorkerSettings, invoke: InvokeSettings, observe: ObserveSettings
) -> None:
    """Blocks until SIGTERM or SIGINT, finishes what it has taken, and returns. Raises what must end the process."""
    configure_logging(name, observe.log_level)
    tell_crashes()
    metrics = Metrics()
    progress = Progress(now_ms, observe.stall_s * 1000)
    with ObservationServer(observe.host, observe.port, progress.health, metrics) as server:
        server.write_port(observe.port_file)
        if name == "invoke":
            # only this stage needs the providers' SDKs, which take seconds to import
            from streams.invoke.process import run_invoke  # noqa: PLC0415  # only who needs it pays for importing it

            run_invoke(kafka, worker, invoke, metrics, progress)
        else:
            from streams.runtime.kafka import ConfluentClients  # noqa: PLC0415  # only who needs it pays for importing it
            from streams.runtime.worker import Worker  # noqa: PLC0415  # only who needs it pays for importing it
            from streams.topology import SYNCHRONOUS  # noqa: PLC0415  # only who needs it pays for importing it

            clients = ConfluentClients(kafka)
            stage = Worker(SYNCHRONOUS[name], clients, kafka, worker, now_ms=now_ms, metrics=metrics, progress=progress)
            stage.run(stop_on_signal())
