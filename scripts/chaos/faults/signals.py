"""Processes that are killed, told to end, or frozen. The supervisor starts again what has ended."""

import signal
from collections.abc import Mapping

from scripts.chaos.system import System


class Ended:
    """One process gets a signal that ends it, sooner or later."""

    def __init__(self, system: System, name: str, number: signal.Signals) -> None:
        self._system = system
        self._name = name
        self._number = number
        self._pid: int | None = None

    def hindrance(self) -> str:
        self._pid = self._system.pid(self._name)
        return "" if self._pid is not None else "it is just being started again"

    def describe(self) -> Mapping[str, object]:
        return {"pid": self._pid}

    def inject(self) -> None:
        self._system.deaths.want(self._name)
        self._system.stack.supervisor.signal(self._name, self._number)

    def heal(self) -> None:
        """Nothing to undo."""

    def recovered(self) -> bool:
        return self._system.pid(self._name) not in (None, self._pid) and self._system.stack.supervisor.ready(self._name)


class Frozen:
    """Its sockets stay open and nothing answers; on waking it finds its session gone."""

    def __init__(self, system: System, name: str) -> None:
        self._system = system
        self._name = name
        self._pid: int | None = None

    def hindrance(self) -> str:
        self._pid = self._system.pid(self._name)
        return "" if self._pid is not None else "it is just being started again"

    def describe(self) -> Mapping[str, object]:
        return {"pid": self._pid}

    def inject(self) -> None:
        self._system.stack.supervisor.signal(self._name, signal.SIGSTOP)

    def heal(self) -> None:
        self._system.stack.supervisor.signal(self._name, signal.SIGCONT)

    def recovered(self) -> bool:
        return self._system.stack.supervisor.ready(self._name)
