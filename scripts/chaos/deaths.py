"""Which process ended and which was started again, whether or not anybody wanted it."""

import threading

from scripts.chaos.journal import Journal
from scripts.stack.supervised import ProcessState, Status


class Deaths:
    """Listens to the supervisor and writes the journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        self._pids: dict[str, int | None] = {}
        self._wanted: set[str] = set()

    def want(self, name: str) -> None:
        """The next end of that process is a fault's doing."""
        with self._lock:
            self._wanted.add(name)

    def __call__(self, state: ProcessState) -> None:
        if state.status is Status.RUNNING:
            with self._lock:
                self._pids[state.name] = state.pid
            if state.restarts:
                self._journal.write(event="restarted", target=state.name, pid=state.pid)
        else:
            self.died(state.name, state.last_exit_status)

    def started(self, name: str, pid: int | None) -> None:
        """Of a process that no supervisor keeps."""
        with self._lock:
            self._pids[name] = pid

    def died(self, name: str, exit_status: int | None) -> None:
        with self._lock:
            pid = self._pids.pop(name, None)
            wanted = name in self._wanted
            self._wanted.discard(name)
        if pid is not None:  # else it was told when it died, and is now given up
            self._journal.write(event="died", target=name, pid=pid, exit_status=exit_status, wanted=wanted)
