"""A door on loopback that ends TLS, as a load balancer does, before a server that speaks none."""

import ssl
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import SHUT_WR, create_connection, socket
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

_CHUNK = 65_536


class TlsDoor(ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, keystore: Path, target_port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.target_port = target_port
        self.trusted = 0
        """Connections on which a client went on after it had seen the certificate."""
        self.port = int(self.socket.getsockname()[1])
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(keystore)


class _Connection(BaseRequestHandler):
    server: TlsDoor  # pyright: ignore[reportIncompatibleVariableOverride] - this handler has no other server
    request: socket

    def handle(self) -> None:
        with (
            suppress(OSError),  # a client that does not trust the certificate hangs up
            self.server.context.wrap_socket(self.request, server_side=True) as client,
            create_connection(("127.0.0.1", self.server.target_port)) as target,
        ):
            answering = Thread(target=_pass_on, args=(target, client), daemon=True)
            answering.start()
            first = client.recv(_CHUNK)  # with TLS 1.3 a client that hangs up has shaken hands all the same
            self.server.trusted += bool(first)
            target.sendall(first)
            _pass_on(client, target)
            answering.join()


def _pass_on(source: socket, sink: socket) -> None:
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(SHUT_WR)


@contextmanager
def tls_before(target_port: int, keystore: Path) -> Generator[TlsDoor]:
    """`keystore`: a PEM file with key and certificate."""
    with TlsDoor(keystore, target_port) as door:
        thread = Thread(target=door.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield door
        finally:
            door.shutdown()
            thread.join()
