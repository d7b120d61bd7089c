"""Connections to one address, which do what they are told and nothing else."""

import asyncio
import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence
from functools import cache
from ssl import SSLContext
from typing import Any, Final, cast

import aiohappyeyeballs
import httpx2

from streams.providers.connection import Connection
from streams.providers.http import Answer

_BUFFER_BYTES: Final = 1024 * 1024
"""More than asyncio's TLS ever has in hand: what does not fit, it would lose when the server hangs up after it."""
_IDLE_S: Final = 5.0
"""A provider that closes an idle connection may do so while a question is on its way: that would be lost, and might be
billed. So ours are closed before.
"""
_NAMES_HOLD_S: Final = 10.0
_OTHER_FAMILY_S: Final = 0.25
"""So long one kind of address has before another is tried beside it (RFC 8305)."""


_sockets = cast("Any", aiohappyeyeballs)  # whose types are known in part
Address = tuple[int, int, int, str, tuple[Any, ...]]
"""As getaddrinfo tells it."""


class Connections:
    """No redirect is followed, no proxy asked, no cookie kept, nothing unpacked, nothing sent a second time;
    certificates are checked as the SDKs' own clients do. Who asks at the same time gets a connection each.
    """

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._address = httpx2.URL(url)
        lines = {"Host": self._address.netloc.decode(), **headers}
        self._head = b"POST %b HTTP/1.1\r\n%b" % (self._address.raw_path, _lines(lines))
        self._buffer = bytearray(_BUFFER_BYTES)
        self._looking: asyncio.Task[Sequence[Address]] | None = None
        self._looked_s = 0.0
        self._idle: deque[tuple[float, Connection]] = deque()
        self._sweeping: asyncio.TimerHandle | None = None
        self._is_closed = False

    async def post(self, body: bytes, headers: Mapping[str, str], connect_s: float) -> Answer:
        question = b"%b%bContent-Length: %d\r\n\r\n%b" % (self._head, _lines(headers), len(body), body)
        connection = self._kept() or await self._connect(connect_s)
        try:
            await connection.ask(question)
        except BaseException:
            connection.close()
            raise
        return Answer(connection.status, connection.headers, connection, lambda: self._release(connection))

    @property
    def idle(self) -> int:
        """How many wait for a question."""
        return sum(connection.is_open for _, connection in self._idle)

    async def close(self) -> None:
        self._is_closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        while self._idle:
            self._idle.pop()[1].close()

    def _kept(self) -> Connection | None:
        """The one used last, so that those too many grow old."""
        while self._idle:
            since_s, connection = self._idle.pop()
            if connection.is_open and time.monotonic() - since_s < _IDLE_S:
                return connection
            connection.close()
        return None

    async def _connect(self, within_s: float) -> Connection:
        """Raises httpx2.ConnectTimeout and httpx2.ConnectError, which say that nothing was sent."""
        url, loop = self._address, asyncio.get_running_loop()
        try:
            async with asyncio.timeout(within_s):
                addresses = await self._addresses()
                _, connection = await loop.create_connection(
                    lambda: Connection(self._buffer),
                    sock=await _sockets.start_connection(addresses, happy_eyeballs_delay=_OTHER_FAMILY_S),
                    ssl=_trusted() if url.scheme == "https" else None,
                    server_hostname=url.host if url.scheme == "https" else None,
                )
        except TimeoutError as error:
            raise httpx2.ConnectTimeout("no connection in time") from error
        except (OSError, ValueError) as error:  # what is no host's name is a ValueError
            raise httpx2.ConnectError("no connection") from error
        if not connection.is_open:  # or who wrote to it would have to take what it wrote for sent
            raise httpx2.ConnectError("the server hung up at once")
        return connection

    async def _addresses(self) -> Sequence[Address]:
        """Of the name: asked for once by all who want them at the same time, and kept for a while."""
        if self._looking is None or (self._looking.done() and time.monotonic() - self._looked_s > _NAMES_HOLD_S):
            self._looked_s = time.monotonic()
            self._looking = asyncio.ensure_future(self._look_up())
            self._looking.add_done_callback(lambda done: done.cancelled() or done.exception())  # all may have given up
        looking = self._looking
        try:
            return await asyncio.shield(looking)  # who gives up leaves it to the others
        except OSError:
            self._looking = None if self._looking is looking else self._looking
            raise

    async def _look_up(self) -> Sequence[Address]:
        url = self._address
        port = url.port or (443 if url.scheme == "https" else 80)
        return await asyncio.get_running_loop().getaddrinfo(url.raw_host.decode(), port, type=socket.SOCK_STREAM)

    def _release(self, connection: Connection) -> None:
        if self._is_closed or not connection.is_reusable:
            connection.close()
            return
        self._idle.append((time.monotonic(), connection))
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(_IDLE_S, self._sweep)

    def _sweep(self) -> None:
        """Closes what has grown old, and comes again while anything is kept."""
        now_s = time.monotonic()
        while self._idle and now_s - self._idle[0][0] >= _IDLE_S:
            self._idle.popleft()[1].close()
        left_s = self._idle[0][0] + _IDLE_S - now_s if self._idle else None
        self._sweeping = None if left_s is None else asyncio.get_running_loop().call_later(left_s, self._sweep)


def _lines(headers: Mapping[str, str]) -> bytes:
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()]).encode()


@cache
def _trusted() -> SSLContext:
    return httpx2.create_ssl_context(trust_env=False)
