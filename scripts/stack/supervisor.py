"""Runs the parts of a stack as child processes: started in order, kept alive, stopped in reverse order.

Nothing it started survives it: not an error while starting, not Ctrl-C, and on Linux not its own SIGKILL.
"""

import signal
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from scripts.stack.backoff import Backoff
from scripts.stack.supervised import ProcessSpec, ProcessState, Supervised


class Supervisor:
    """Use as a context manager, or call `stop`. One thread at a time may start and stop; any may ask for states."""

    def __init__(
        self, *, backoff: Backoff | None = None, on_change: Callable[[ProcessState], None] | None = None
    ) -> None:
        """`on_change` hears of every state a process enters, from that process's thread, and must not raise."""
        self._backoff = backoff or Backoff()
        self._on_change = on_change or _unheard
        self._running: dict[str, Supervised] = {}

    def start(self, *specs: ProcessSpec) -> None:
        """Start processes together and return once each is ready.

        If one is not in time or dies first, all of this call are stopped and StartError shows the end of its log.
        """
        names = [spec.name for spec in specs]
        if taken := sorted({name for name in names if name in self._running or names.count(name) > 1}):
            raise ValueError(f"there can be only one process called {', '.join(taken)}")
        try:
            for spec in specs:
                self._running[spec.name] = Supervised(spec, self._backoff, self._on_change)
            for name in names:
                self._running[name].await_ready()
        except BaseException:
            self._stop(reversed(names))
            raise

    def states(self) -> tuple[ProcessState, ...]:
        """What each process is doing now, in the order they were started."""
        return tuple(process.state for process in list(self._running.values()))

    def ready(self, name: str) -> bool:
        """Whether that process runs and its own condition holds now."""
        return self._named(name).ready

    def signal(self, name: str, number: signal.Signals) -> int | None:
        """Send a signal and return the pid that got it, None when none runs at the moment. What dies is restarted."""
        return self._named(name).signal(number)

    def stop(self, *names: str) -> None:
        """Stop the named processes, all without a name, last started first; a stopped name may be started anew."""
        if unknown := [name for name in names if name not in self._running]:
            raise ValueError(f"no process is called {', '.join(unknown)}")
        self._stop([name for name in reversed(self._running) if not names or name in names])

    def _named(self, name: str) -> Supervised:
        if (process := self._running.get(name)) is None:
            raise ValueError(f"no process is called {name}")
        return process

    def _stop(self, names: Iterable[str]) -> None:
        for name in names:
            # One that never started has nothing to stop: a failed start calls this for all it was asked for.
            if (process := self._running.pop(name, None)) is not None:
                process.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _unheard(_state: ProcessState) -> None:
    """Nobody asked to hear of changes."""
