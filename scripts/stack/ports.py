"""Free TCP ports on 127.0.0.1 that stay free until the process they are meant for binds them.

On Linux the reservation is a bound socket that never listens: the kernel gives its port to nobody who asks for any
free one, yet lets a server with SO_REUSEADDR (Java, asyncio, http.server) bind and listen beside it. So the port of
a killed broker is still its own when it comes back. Elsewhere that bind would fail, so there the port is only
looked up and may, rarely, be taken by another before it is used.
"""

import contextlib
import socket
import sys
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class PortReservation:
    """A port kept for one server; release it when that server is gone for good."""

    port: int
    _held: socket.socket | None

    def release(self) -> None:
        if self._held is not None:
            self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def reserve_port(preferred: int | None = None) -> PortReservation:
    """Reserve `preferred` if it is free, else any free port."""
    held = _bound_somewhere(preferred)
    port: int = held.getsockname()[1]
    if sys.platform == "linux":
        return PortReservation(port, held)
    held.close()
    return PortReservation(port, None)


def _bound_somewhere(preferred: int | None) -> socket.socket:
    if preferred is not None:
        with contextlib.suppress(OSError):
            return _bound(preferred)
    return _bound(0)


def _bound(port: int) -> socket.socket:
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((LOOPBACK, port))
    except BaseException:
        held.close()
        raise
    return held
