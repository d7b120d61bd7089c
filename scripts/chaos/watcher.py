"""Looks at every process every few seconds while a run lasts, and writes down what it saw."""

from collections.abc import Callable
from pathlib import Path
from threading import Event, Lock, Thread

from schemas.base import dump_json
from scripts.chaos.lag import Lag
from scripts.chaos.observation import Observation, taken
from scripts.chaos.system import System

EVERY_S = 5.0


class Watcher:
    """`latest` and the others may be asked from any thread."""

    def __init__(self, system: System, path: Path, now_ms: Callable[[], int]) -> None:
        self._system = system
        self._now_ms = now_ms
        self._file = path.open("ab", buffering=0)
        self._lag = Lag(system.stack.kafka)
        self._stop = Event()
        self._lock = Lock()
        self._seen: list[Observation] = []
        self._thread = Thread(target=self._watch, name="watcher", daemon=True)
        self._thread.start()

    def look(self) -> Observation:
        """Now, and beside the rhythm."""
        with self._lock:
            lag = self._lag.now()
            processes = taken(self._system.pids())
            if isinstance(lag, str):
                seen = Observation(self._now_ms(), processes, without_lag=lag)
            else:
                seen = Observation(self._now_ms(), processes, lag)
            self._seen.append(seen)
            self._file.write(dump_json(seen.as_json()) + b"\n")
        return seen

    @property
    def latest(self) -> Observation | None:
        return self._seen[-1] if self._seen else None

    def between(self, start_ms: int, end_ms: int) -> list[Observation]:
        return [each for each in list(self._seen) if start_ms <= each.at_ms < end_ms]

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._lag.close()
        self._file.close()

    def _watch(self) -> None:
        while not self._stop.wait(EVERY_S):
            self.look()
