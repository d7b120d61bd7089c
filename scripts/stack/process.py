"""Child processes that cannot outlive us: logged to a file, deaf to the terminal's Ctrl-C, killed when we die.

Each child leads its own process group, so that Ctrl-C reaches only the parent, which then stops its children in
order. On Linux the kernel kills a child with its parent even when the parent gets SIGKILL; elsewhere a parent that
is killed leaves its children behind.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from scripts.stack import launcher

LOG_LIMIT_BYTES: Final = 8 * 1024 * 1024
_TAIL_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class Command:
    argv: Sequence[str]
    log: Path
    """Standard output and error are appended here; a log above LOG_LIMIT_BYTES is set aside at the next spawn."""
    cwd: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """Added to our own environment, or all there is when that is not inherited."""
    inherit_env: bool = True


class Child:
    """A spawned process. Its exit status is kept, so every method may be called at any time, from any thread."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs; the negative signal number if one ended it."""
        return self._process.poll()

    @property
    def running(self) -> bool:
        return self.exit_status is None

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for its end and return the exit status. Raises TimeoutError."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"process {self.pid} still runs after {timeout_s} s") from error

    def stop(self, grace_s: float) -> int:
        """Ask it to end, kill its whole group if it has not after `grace_s`, and return the exit status."""
        self._process.terminate()
        self.resume()  # a stopped process would keep the request pending until the grace is over
        try:
            return self.wait(grace_s)
        except TimeoutError:
            return self.kill()

    def kill(self) -> int:
        """SIGKILL to the process and everything in its group."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        return self.wait()

    def pause(self) -> None:
        """Freeze it: its sockets stay open and nothing answers."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        """Nothing happens when it has ended."""
        self._process.send_signal(number)


def spawn(command: Command) -> Child:
    """Start a command. A program that cannot be run is reported in its log and by an exit status other than 0."""
    command.log.parent.mkdir(parents=True, exist_ok=True)
    _set_aside(command.log)

    def fork() -> subprocess.Popen[bytes]:
        with command.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - argv is composed by this project's own code
                [sys.executable, "-I", "-S", launcher.__file__, str(os.getpid()), *command.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=command.cwd,
                env=_environment(command),
                process_group=0,
            )

    return Child(_on_lasting_thread(fork))


def log_tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, for an error message."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return "(no log)"
    return "\n".join(text.splitlines()[-lines:]) or "(the log is empty)"


def _set_aside(log: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LOG_LIMIT_BYTES:
            log.replace(log.with_name(f"{log.name}.1"))


def _environment(command: Command) -> dict[str, str]:
    if not command.inherit_env:
        return dict(command.env)
    return {**os.environ, **command.env}  # noqa: TID251 - handed on as it was given, no setting is read from it


_Fork = Callable[[], subprocess.Popen[bytes]]


def _on_lasting_thread(fork: _Fork) -> subprocess.Popen[bytes]:
    # The kernel takes the end of the *thread* that forked for the death of the parent: a child started by a
    # short-lived thread would be killed with it. This thread lasts as long as the process.
    answer: Future[subprocess.Popen[bytes]] = Future()
    _fork_requests(os.getpid()).put((fork, answer))
    return answer.result()


@cache
def _fork_requests(_own_pid: int) -> SimpleQueue[tuple[_Fork, Future[subprocess.Popen[bytes]]]]:
    # Per pid, since a process made by os.fork inherits this cache but not the thread behind the queue.
    requests: SimpleQueue[tuple[_Fork, Future[subprocess.Popen[bytes]]]] = SimpleQueue()

    def serve() -> None:
        while True:
            fork, answer = requests.get()
            try:
                answer.set_result(fork())
            except OSError as error:
                answer.set_exception(error)

    threading.Thread(target=serve, name="spawn", daemon=True).start()
    return requests
