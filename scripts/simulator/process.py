"""The simulator as a child process: started, waited for, and stopped by whoever needs a provider.

It also ends when its starter does, however that came about: the pipe to its standard input closes then.
"""

import selectors
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Self, cast

from pydantic import SecretStr

from scripts.simulator.settings import SimulatorSettings

_STOP_WITHIN_S = 5


class SimulatorNotStarted(RuntimeError):
    """The process ended, or stayed silent too long; the message has what it said."""


@dataclass(frozen=True, slots=True)
class RunningSimulator:
    """Serves at `base_url` until stopped; leaving it as a context stops it."""

    process: "subprocess.Popen[bytes]"
    base_url: str

    @property
    def port(self) -> int:
        return int(self.base_url.rpartition(":")[2])

    @property
    def openai_url(self) -> str:
        """The `base_url` of OpenAI's SDK."""
        return f"{self.base_url}/v1"

    @property
    def anthropic_url(self) -> str:
        """The `base_url` of Anthropic's SDK."""
        return self.base_url

    def stop(self) -> None:
        """Ends the process and waits for it; calls that still wait are dropped. Stopping twice is allowed."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def start_simulator(settings: SimulatorSettings | None = None, *, ready_within_s: float = 30) -> RunningSimulator:
    """A simulator that accepts requests when this returns. Raises SimulatorNotStarted with its reason."""
    command = [sys.executable, "-m", "scripts.simulator", *flags(settings or SimulatorSettings()), "--stop-at-eof=true"]
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(  # noqa: S603 - our own module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints
        )
        assert process.stdout is not None  # noqa: S101 - it is a pipe, which the type cannot say
        first_line = _line_within(process.stdout, ready_within_s)
        running = RunningSimulator(
            process, next((word for word in first_line.split() if word.startswith("http://")), "")
        )
        if not running.base_url:
            running.stop()
            complaints.seek(0)
            said = complaints.read().decode(errors="replace").strip()
            raise SimulatorNotStarted(said or f"the provider simulator was not ready within {ready_within_s:g} s")
    return running


def flags(settings: SimulatorSettings) -> list[str]:
    """The command line that gives a process these settings."""
    return [
        f"--{name.replace('_', '-')}={value}"
        for name, field in SimulatorSettings.model_fields.items()
        for value in _values(getattr(settings, name))
        if getattr(settings, name) != field.default
    ]


def _values(value: object) -> Iterator[object]:
    for item in cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,):
        yield item.get_secret_value() if isinstance(item, SecretStr) else item


def _line_within(pipe: IO[bytes], seconds: float) -> str:
    """The first line of the pipe, or nothing when it ends or stays silent so long."""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        return pipe.readline().decode() if selector.select(seconds) else ""
