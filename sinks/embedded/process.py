"""The embedded server as a child process: started, awaited, stopped; it goes when its parent goes."""

import http.client
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_LOG_NAME = "server.log"
_PORT_NAME = "port"
_LOOK_EVERY_S = 0.02


class EmbeddedClickHouseError(Exception):
    """The server did not start; the message says why, in its own words where it left any."""


@dataclass(frozen=True, slots=True)
class EmbeddedClickHouse:
    """A running server. User `default` with an empty password, database `default`."""

    host: str
    port: int
    process: subprocess.Popen[bytes]

    def stop(self, within_s: float = 40.0) -> None:
        """Returns when it is gone: with its data written, or killed if it took longer."""
        _end(self.process, within_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_embedded_clickhouse(path: Path, *, port: int = 0, within_s: float = 60.0) -> EmbeddedClickHouse:
    """Start it on the data in `path` and return once it answers. Its log is `server.log` in there.

    `port` 0 takes a free one. Raises EmbeddedClickHouseError when it ends, or does not answer in time.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    port_file = path / _PORT_NAME
    port_file.unlink(missing_ok=True)
    with (path / _LOG_NAME).open("ab") as log:
        said_before = log.tell()
        process = subprocess.Popen(  # noqa: S603 - this interpreter, and a module of this package
            [
                *(sys.executable, "-m", "sinks.embedded", "--stop-with-stdin"),
                *(f"--path={path}", f"--port={port}", f"--port-file={port_file}"),
            ],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
    deadline_s = time.monotonic() + within_s
    while not port_file.exists():
        try:
            process.wait(_LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            if time.monotonic() < deadline_s:
                continue
        _end(process, 0)
        said = (path / _LOG_NAME).read_bytes()[said_before:].decode(errors="replace").strip()
        raise EmbeddedClickHouseError(said or f"The embedded ClickHouse did not start within {within_s:g} s.")
    running = EmbeddedClickHouse("127.0.0.1", int(port_file.read_text()), process)
    if not _answers(running):
        running.stop()
        raise EmbeddedClickHouseError("The embedded ClickHouse started but does not answer /ping.")
    return running


def _end(process: subprocess.Popen[bytes], within_s: float) -> None:
    process.terminate()
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _answers(running: EmbeddedClickHouse) -> bool:
    connection = http.client.HTTPConnection(running.host, running.port, timeout=10)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().read() == b"Ok.\n"
    except OSError:
        return False
    finally:
        connection.close()
