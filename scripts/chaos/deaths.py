"""Which process ended and which was started again, whether or not anybody wanted it."""

import threading
from collections.abc import Callable
from pathlib import Path

from scripts.chaos.ends import TAIL_BYTES, last_words, unexplained
from scripts.chaos.journal import Journal
from scripts.chaos.verdict import Invariant, judged
from scripts.stack.supervised import ProcessState, Status


class Deaths:
    """Listens to the supervisor and writes the journal."""

    def __init__(self, journal: Journal, log_of: Callable[[str], Path]) -> None:
        """`log_of` says where a process of ours, by name, writes."""
        self._journal = journal
        self._log_of = log_of
        self._lock = threading.Lock()
        self._pids: dict[str, int | None] = {}
        self._wanted: set[str] = set()
        self._logged_bytes: dict[str, int] = {}
        self._ends = 0
        self._unexplained: list[str] = []

    def want(self, name: str) -> None:
        """The next end of that process is a fault's doing."""
        with self._lock:
            self._wanted.add(name)

    def __call__(self, state: ProcessState) -> None:
        if state.status is Status.RUNNING:
            with self._lock:
                self._pids[state.name] = state.pid
                self._logged_bytes[state.name] = _size(self._log_of(state.name))
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
            from_byte = self._logged_bytes.pop(name, None)
            wanted = name in self._wanted
            self._wanted.discard(name)
        if pid is None:
            return  # it was told when it died, and is now given up
        said = {}
        if from_byte is not None:  # a process of ours: what brokers say is not ours to judge
            words = last_words(_tail(self._log_of(name), from_byte))
            self._judge(f"{name} [{pid}]", unexplained(exit_status, words, wanted=wanted))
            said = {"words": words} if exit_status else {}
        self._journal.write(event="died", target=name, pid=pid, exit_status=exit_status, wanted=wanted, **said)

    def judged(self) -> Invariant:
        """Of all ends of processes of ours until now."""
        with self._lock:
            return judged("processes end for documented reasons", self._ends, self._unexplained)

    def _judge(self, who: str, wrong: str) -> None:
        with self._lock:
            self._ends += 1
            if wrong:
                self._unexplained.append(f"{who} {wrong}")


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _tail(log: Path, from_byte: int) -> bytes:
    """What was written since, its end when that is much; a log that was set aside meanwhile is read from its start."""
    size = _size(log)
    if not size:
        return b""
    with log.open("rb") as opened:
        opened.seek(max(from_byte if from_byte <= size else 0, size - TAIL_BYTES))
        return opened.read()
