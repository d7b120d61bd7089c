"""One named process that is kept alive: when it dies it is started again, more slowly each time, until stopped,
unless it says that it would do the same again.
"""

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from scripts.stack.backoff import Backoff
from scripts.stack.process import Command, spawn
from scripts.stack.readiness import Condition, await_ready


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """What to run under a name."""

    name: str
    command: Command
    ready: Condition | None = None
    """Asked until it holds when the process is first started; None: running is enough."""
    ready_within_s: float = 30
    grace_s: float = 10
    """Time between the request to end and SIGKILL."""


BROKEN_EXIT_STATUS = 78
"""A process that ends with it would do the same again, and harm: it is not started again. sysexits' EX_CONFIG."""


class Status(StrEnum):
    RUNNING = "running"
    BACKING_OFF = "backing off"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ProcessState:
    name: str
    status: Status
    pid: int | None
    """None unless running."""
    restarts: int
    last_exit_status: int | None
    """Of the run before this one; negative for a signal, None if it never ended."""


class Supervised:
    """Starts the process at once; from then on its own thread waits for the process to end, and starts it again."""

    def __init__(self, spec: ProcessSpec, backoff: Backoff, on_change: Callable[[ProcessState], None]) -> None:
        self.spec = spec
        self._backoff = backoff
        self._on_change = on_change
        # Held while a child is started or the stop is decided, so that none is started after the decision.
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._child = self._first = spawn(spec.command)
        self._state = ProcessState(spec.name, Status.RUNNING, self._child.pid, restarts=0, last_exit_status=None)
        self._keeper = threading.Thread(target=self._keep_alive, name=f"keep-{spec.name}", daemon=True)
        self._keeper.start()
        on_change(self._state)

    @property
    def state(self) -> ProcessState:
        return self._state

    @property
    def ready(self) -> bool:
        """Whether it is ready now, however often it was started."""
        return self._child.running and (self.spec.ready is None or self.spec.ready())

    def signal(self, number: signal.Signals) -> int | None:
        """Send a signal to the running process and return its pid; None when none runs. Its end is not waited for."""
        child = self._child
        if not child.running:
            return None
        child.signal(number)
        return child.pid

    def await_ready(self) -> None:
        """Return once it is ready. Raises StartError; a process that dies before it was ready is not waited for."""
        if self.spec.ready is not None:
            await_ready(
                self.spec.name,
                self._first,
                self.spec.command.log,
                self.spec.ready,
                within_s=self.spec.ready_within_s,
            )

    def stop(self) -> None:
        """End it for good, with its grace."""
        with self._lock:
            self._stopping.set()
        self._child.stop(self.spec.grace_s)
        self._keeper.join()

    def _keep_alive(self) -> None:
        deaths = 0
        started_s = time.monotonic()
        while True:
            exit_status = self._child.wait()
            if exit_status == BROKEN_EXIT_STATUS:
                break
            deaths = self._backoff.deaths(deaths, time.monotonic() - started_s)
            if not self._stopping.is_set():
                self._became(Status.BACKING_OFF, exit_status)
            self._stopping.wait(self._backoff.delay_s(deaths))
            with self._lock:
                if self._stopping.is_set():
                    break
                started_s = time.monotonic()
                restarted = self._restart()
            if restarted:
                self._became(Status.RUNNING, exit_status)
        self._became(Status.STOPPED, exit_status)

    def _restart(self) -> bool:
        try:
            self._child = spawn(self.spec.command)
        except OSError:
            # Out of processes, files or disk: the old child counts as dead once more and the wait grows.
            return False
        return True

    def _became(self, status: Status, exit_status: int) -> None:
        running = status is Status.RUNNING
        self._state = replace(
            self._state,
            status=status,
            pid=self._child.pid if running else None,
            restarts=self._state.restarts + running,
            last_exit_status=exit_status,
        )
        self._on_change(self._state)
