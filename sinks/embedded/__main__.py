"""`python -m sinks.embedded`: one process, one engine, one port on loopback, until SIGTERM."""

import argparse
import asyncio
import os
import resource
import signal
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import structlog
import uvicorn
from pydantic import SecretStr

from sinks.embedded.app import Door
from sinks.embedded.configuration import DirectoryInUseError, Limits, claim_directory
from sinks.embedded.credentials import Credentials
from sinks.embedded.engine import Engine
from sinks.embedded.errors import ClickHouseError

_HOST = "127.0.0.1"
_BACKLOG = 256
_HIGHEST_PORT = 65_535
_CLOSE_WITHIN_S = 10.0
# A URL may carry a whole statement; ClickHouse takes as much.
_HEADER_BYTES = 1 << 20
_log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Options:
    path: Path
    port: int
    port_file: Path | None
    login: Credentials
    limits: Limits
    grace_s: int
    stop_with_stdin: bool


def main() -> int:
    _log_lines()
    try:
        return asyncio.run(_serve(_options(sys.argv[1:])))
    except (DirectoryInUseError, OSError) as error:
        sys.stderr.write(f"embedded ClickHouse: {error}\n")
    except ClickHouseError as error:
        sys.stderr.write(f"embedded ClickHouse: the data cannot be opened. {error} More may stand above.\n")
    return 1


def _options(arguments: list[str]) -> Options:
    parser = argparse.ArgumentParser(prog="python -m sinks.embedded", description=__doc__)
    parser.add_argument("--path", type=Path, required=True, help="directory of the data, made if missing")
    parser.add_argument("--port", type=_port_number, default=8123, help="0 for a free one")
    parser.add_argument("--port-file", type=Path, help="file that gets the port once requests are answered")
    parser.add_argument("--user", default="default")
    parser.add_argument("--password-file", type=Path, help="file with the password; without it, it is empty")
    parser.add_argument("--max-execution-s", type=int, default=Limits().execution_s)
    parser.add_argument("--grace-s", type=int, default=20, help="time for running requests after SIGTERM")
    parser.add_argument("--stop-with-stdin", action="store_true", help="stop when standard input is closed")
    chosen = parser.parse_args(arguments)
    password = chosen.password_file.read_text().strip() if chosen.password_file else ""
    return Options(
        path=chosen.path.resolve(),
        port=chosen.port,
        port_file=chosen.port_file.resolve() if chosen.port_file else None,
        login=Credentials(chosen.user, SecretStr(password)),
        limits=Limits(execution_s=chosen.max_execution_s),
        grace_s=chosen.grace_s,
        stop_with_stdin=chosen.stop_with_stdin,
    )


def _port_number(text: str) -> int:
    if not text.isdecimal() or int(text) > _HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: use a number from 0 to {_HIGHEST_PORT}")
    return int(text)


def _refuse_limited_files() -> None:
    """What the kernel refuses the engine for the size of a file (EFBIG), it acknowledges as written: seen in 26.9 on an
    insert. A disk that is full it does refuse.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if soft != resource.RLIM_INFINITY:
        raise OSError(
            f"files may not grow beyond {soft} bytes here, and inserts would be lost: "
            "lift that limit (ulimit -f unlimited)"
        )


async def _serve(options: Options) -> int:
    _refuse_limited_files()
    claim_directory(options.path, options.limits)
    listener = _listen(options.port)
    port = listener.getsockname()[1]
    # The engine reads a `config.xml` it finds in the working directory, and takes relative paths from here.
    os.chdir(options.path)
    engine = Engine(options.path, options.limits)
    facts = await engine.start()
    server = uvicorn.Server(
        uvicorn.Config(
            Door(engine, facts, options.limits, options.login).app(),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=options.grace_s,
            h11_max_incomplete_event_size=_HEADER_BYTES,
        )
    )
    # uvicorn raises the signal again when it is done, which must not end the process before the engine is closed.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _carry_on)
    if options.stop_with_stdin:
        threading.Thread(target=_terminate_at_end_of_input, daemon=True).start()
    _announce(port, options.port_file)
    _log.info("embedded_clickhouse_started", port=port, version=facts.version, sandbox=facts.sandbox)
    await server.serve(sockets=[listener])
    if not await engine.stop(_CLOSE_WITHIN_S):
        _log.error("embedded_clickhouse_killed", reason="a query could not be cancelled")
        sys.stderr.flush()
        os._exit(1)
    _log.info("embedded_clickhouse_stopped")
    return 0


def _log_lines() -> None:
    """JSON lines on standard error. A traceback goes without the values in it, which may be rows."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _listen(port: int) -> socket.socket:
    # Said in full, because asyncio turns Nagle's algorithm off only where it sees TCP: with it on, every small answer
    # waits 40 ms for an acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port))
    except OSError as error:
        listener.close()
        raise OSError(f"port {port} of {_HOST} cannot be used: {error.strerror}. Choose another with --port.") from None
    listener.listen(_BACKLOG)
    return listener


def _carry_on(_signal: int, _frame: FrameType | None) -> None:
    pass


def _announce(port: int, port_file: Path | None) -> None:
    if port_file is not None:
        partial = port_file.with_name(f"{port_file.name}.partial")
        partial.write_text(f"{port}\n")
        partial.replace(port_file)
    sys.stdout.write(f"ClickHouse HTTP on {_HOST}:{port}\n")
    sys.stdout.flush()


def _terminate_at_end_of_input() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
