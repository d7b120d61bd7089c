"""Health is work that moves: a process with unfinished events whose frontier stands still is not healthy."""

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from typing_extensions import override

from schemas.base import dump_json
from streams.observe.logs import logger
from streams.observe.metrics import Metrics

log = logger(__name__)
IDLE_CLIENT_S = 30
"""A client that connects and says nothing, or takes nothing, holds a thread no longer."""

State = Literal["starting", "restoring", "running", "stalled", "stopping"]


@dataclass(frozen=True, slots=True)
class Health:
    """`in_flight` counts events taken and not finished; `idle_ms` is how long nothing has been finished."""

    state: State
    in_flight: int
    idle_ms: int
    detail: str = ""

    @property
    def ok(self) -> bool:
        return self.state in ("running", "stopping")


class Progress:
    """What the worker's loop reports and the health endpoint judges. Written by one thread, read by another."""

    def __init__(self, now_ms: Callable[[], int], stall_ms: int) -> None:
        self._now_ms = now_ms
        self._stall_ms = stall_ms
        self._state: State = "starting"
        self._in_flight = 0
        self._moved_ms = now_ms()
        self._looped_ms = now_ms()

    def state(self, state: State) -> None:
        self._state = state
        self._looped_ms = self._moved_ms = self._now_ms()

    def looped(self, in_flight: int, *, moved: bool) -> None:
        """The loop came round with so much unfinished; `moved` when anything was finished since the last time."""
        self._looped_ms = self._now_ms()
        self._in_flight = in_flight
        if moved or in_flight == 0:
            self._moved_ms = self._looped_ms

    def health(self) -> Health:
        now = self._now_ms()
        idle = now - self._moved_ms
        if self._state == "running" and now - self._looped_ms > self._stall_ms:
            return Health("stalled", self._in_flight, idle, "the loop does not come round")
        if self._state == "running" and self._in_flight and idle > self._stall_ms:
            return Health("stalled", self._in_flight, idle, "unfinished events do not move")
        return Health(self._state, self._in_flight, idle)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asked and did not wait for the answer is no news either; a bug of ours is, as one line."""
        problem = sys.exception()
        if not isinstance(problem, OSError):
            log.error("observation_failed", problem=type(problem).__name__)


class ObservationServer:
    """GET /healthz (200 or 503, JSON) and GET /metrics (Prometheus text), on a thread of its own."""

    def __init__(self, host: str, port: int, health: Callable[[], Health], metrics: Metrics) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = IDLE_CLIENT_S

            def do_GET(self) -> None:
                if self.path == "/healthz":
                    now = health()
                    body = dump_json(
                        {"state": now.state, "in_flight": now.in_flight, "idle_ms": now.idle_ms, "detail": now.detail}
                    )
                    self._send(200 if now.ok else 503, "application/json", body)
                elif self.path == "/metrics":
                    self._send(200, CONTENT_TYPE_LATEST, generate_latest(metrics.registry))
                else:
                    self._send(404, "text/plain", b"try /healthz or /metrics\n")

            def _send(self, status: int, content_type: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", content_type)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            @override
            def log_message(self, format: str, *args: object) -> None:
                """A scrape every few seconds is not news."""

        self._server = _Server((host, port), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="observation", daemon=True)

    def write_port(self, path: Path | None) -> None:
        if path is not None:
            beside = path.with_suffix(".tmp")
            beside.write_text(str(self.port))
            beside.replace(path)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)
