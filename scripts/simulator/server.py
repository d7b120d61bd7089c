"""Serves the simulator on one socket until it is told to stop; then at once, dropping every call that still waits."""

import asyncio
import logging
import resource
import signal
import socket
import sys
import threading
from pathlib import Path
from types import FrameType

import uvicorn

from scripts.simulator import tokens
from scripts.simulator.app import App
from scripts.simulator.settings import SimulatorSettings
from scripts.simulator.state import State

# A client pool holds connections about a minute; closing them earlier would look like a fault nobody planned.
_KEEP_ALIVE_S = 120
_BACKLOG = 4_096
# What uvicorn calls an error and the simulator does on purpose.
_CUT = "ASGI callable returned without completing"


def run(settings: SimulatorSettings) -> None:
    """Serves until SIGTERM (which raises SystemExit) or SIGINT (KeyboardInterrupt).

    OSError when the address is taken or a file cannot be opened, ValueError when the fault plan cannot be read.
    """
    if threading.current_thread() is threading.main_thread():
        # uvicorn raises the signal once more when it is done; this turns it into an exit that closes the bill.
        signal.signal(signal.SIGTERM, _leave)
    _allow_many_connections()
    state = State(settings)
    try:
        for encoding in tokens.ENCODINGS:
            tokens.count(encoding, "a first count loads the vocabulary")
        with _listening(settings) as listener:
            asyncio.run(_serve(state, listener, settings))
    finally:
        state.bill.close()


class _Server(uvicorn.Server):
    """uvicorn would wait for the calls in flight, or answer them with 500; a provider that goes down does neither."""

    def __init__(self, config: uvicorn.Config, state: State) -> None:
        super().__init__(config)
        self._state = state

    def stop_at_eof(self) -> None:
        """To be called when standard input can be read."""
        if not sys.stdin.read(1):
            asyncio.get_running_loop().remove_reader(sys.stdin)
            self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._state.stopping = True
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)


async def _serve(state: State, listener: socket.socket, settings: SimulatorSettings) -> None:
    logging.getLogger("uvicorn.error").addFilter(_is_unintended)
    config = uvicorn.Config(
        App(state),
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
    )
    # The socket listens already: whoever reads the port may connect, and is accepted a moment later.
    port: int = listener.getsockname()[1]
    url = f"http://[{settings.host}]:{port}" if ":" in settings.host else f"http://{settings.host}:{port}"
    if settings.port_file is not None:
        _write_whole(settings.port_file, f"{port}\n")
    print(f"provider simulator on {url} (OpenAI base_url {url}/v1, Anthropic base_url {url})", flush=True)
    server = _Server(config, state)
    if settings.stop_at_eof:
        asyncio.get_running_loop().add_reader(sys.stdin, server.stop_at_eof)
    await server.serve(sockets=[listener])


def _listening(settings: SimulatorSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    # asyncio turns Nagle's algorithm off only on sockets that were made with the protocol's number, which this one was
    # not. Left on, it holds every body back for the 40 ms until the client acknowledges the headers.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _write_whole(file: Path, text: str) -> None:
    """Whoever polls for the file never reads half of it."""
    unfinished = file.with_name(f"{file.name}.new")
    unfinished.write_text(text, encoding="ascii")
    unfinished.replace(file)


def _allow_many_connections() -> None:
    """Each waiting call holds a connection, and the usual soft limit is 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _leave(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _is_unintended(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_CUT)
