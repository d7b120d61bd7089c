"""One process of one stage, from its settings to its exit."""

import signal
import socket
import threading

from streams.clock import now_ms
from streams.garbage import keep_garbage_young, leave_garbage
from streams.observe.crashes import tell_crashes
from streams.observe.health import ObservationServer, Progress
from streams.observe.last_resort import exit_hard
from streams.observe.logs import configure_logging
from streams.observe.metrics import Metrics
from streams.settings import InvokeSettings, KafkaSettings, ObserveSettings, WorkerSettings

CLOSE_S = 10.0
"""For leaving the group and closing the clients after the drain: five seconds when no broker answers."""


def stop_on_signal(within_s: float | None = None) -> threading.Event:
    """An event that SIGTERM and SIGINT set; the main thread must be the caller.

    With `within_s` the process ends by force that much later if it has not by itself: librdkafka waits without end for
    the answer to a commit, and what waits in it hears no signal. Nothing is lost: what is not committed is done again.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    if within_s is not None:
        heard, told = socket.socketpair()
        told.setblocking(False)
        signal.set_wakeup_fd(told.detach(), warn_on_full_buffer=False)  # written to wherever the main thread is
        threading.Thread(target=_end_by_force, args=(heard, within_s), daemon=True).start()
    return stop


def _end_by_force(heard: socket.socket, within_s: float) -> None:
    heard.recv(1)
    threading.Event().wait(within_s)
    exit_hard(f"the process did not end within {within_s:g} s of being told to")


def run_stage(
    name: str, kafka: KafkaSettings, worker: WorkerSettings, invoke: InvokeSettings, observe: ObserveSettings
) -> None:
    """Blocks until SIGTERM or SIGINT, finishes what it has taken, and returns. Raises what must end the process."""
    leave_garbage()
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
            keep_garbage_young()
            stage.run(stop_on_signal(worker.drain_ms / 1000 + CLOSE_S))
