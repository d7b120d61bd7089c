"""A TCP proxy on loopback that breaks connections where it is told to."""

import selectors
import socket
import struct
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Event, Lock, Thread

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_CHUNK = 4_096


class Broken(Exception):
    """The connection is to end here."""


class Faults:
    """What is to go wrong next, on connections that are already open too. What breaks a connection happens once, what
    holds it up lasts until `let_go`.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._cuts: deque[int] = deque()
        self._lost_replies = 0
        self._open: set[socket.socket] = set()
        self._down = False
        self._requests_pass = _set()
        self._replies_pass = _set()
        self.happened = 0

    def cut_requests(self, *after_bytes: int) -> None:
        """The next requests break after so many bytes of each have reached the server."""
        with self._lock:
            self._cuts.extend(after_bytes)

    def lose_replies(self, count: int) -> None:
        """The next replies never arrive: the server has done its work, and the client cannot know."""
        with self._lock:
            self._lost_replies += count

    def hold_replies(self) -> None:
        """The server does its work, and nobody hears of it."""
        self._replies_pass.clear()

    def freeze(self) -> None:
        """Connections are taken, and nothing of them is read."""
        self._requests_pass.clear()

    def let_go(self) -> None:
        self._requests_pass.set()
        self._replies_pass.set()

    def go_down(self) -> None:
        with self._lock:
            self._down = True
            for client in self._open:
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)

    def come_back(self) -> None:
        with self._lock:
            self._down = False

    def opened(self, client: socket.socket) -> None:
        with self._lock:
            if self._down:
                raise Broken
            self._open.add(client)

    def closed(self, client: socket.socket) -> None:
        with self._lock:
            self._open.discard(client)

    def request(self, data: bytes) -> tuple[bytes, bool]:
        """What of it may pass, and whether the connection goes on after it."""
        self._requests_pass.wait()
        with self._lock:
            if not self._cuts:
                return data, True
            left = self._cuts[0] - len(data)
            if left >= 0:
                self._cuts[0] = left
                return data, True
            self.happened += 1
            return data[: self._cuts.popleft()], False

    def reply(self) -> None:
        self._replies_pass.wait()
        with self._lock:
            if self._lost_replies:
                self._lost_replies -= 1
                self.happened += 1
                raise Broken


def _set() -> Event:
    event = Event()
    event.set()
    return event


class Proxy(ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, target_port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.target_port = target_port
        self.faults = Faults()

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])


class _Connection(BaseRequestHandler):
    server: Proxy  # pyright: ignore[reportIncompatibleVariableOverride] - this handler has no other server
    request: socket.socket

    def handle(self) -> None:
        faults = self.server.faults
        with suppress(Broken, OSError):
            faults.opened(self.request)
            with socket.create_connection(("127.0.0.1", self.server.target_port)) as target:
                self._pass_on(target)
        faults.closed(self.request)
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.request.close()

    def _pass_on(self, target: socket.socket) -> None:
        faults = self.server.faults
        with selectors.DefaultSelector() as ready:
            ready.register(self.request, selectors.EVENT_READ)
            ready.register(target, selectors.EVENT_READ)
            while True:
                for key, _ in ready.select():
                    if key.fileobj is self.request:
                        data = self.request.recv(_CHUNK)
                        passing, goes_on = faults.request(data)
                        target.sendall(passing)
                        if not data or not goes_on:
                            return
                    else:
                        data = target.recv(_CHUNK)
                        if not data:
                            return
                        faults.reply()
                        self.request.sendall(data)


@contextmanager
def proxy_to(target_port: int) -> Generator[Proxy]:
    with Proxy(target_port) as proxy:
        thread = Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield proxy
        finally:
            proxy.faults.go_down()
            proxy.faults.let_go()
            proxy.shutdown()
            thread.join()
