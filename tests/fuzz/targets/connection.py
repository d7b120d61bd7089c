"""What comes over a connection to a provider, in whatever pieces, before and after the answer too."""

import asyncio
from typing import Any

import httpx2
from typing_extensions import override

from streams.providers.connection import Connection
from tests.fakes.turns import turns
from tests.fuzz.target import Target, joined, parts_of

LOOP = asyncio.new_event_loop()


class _Socket:
    def setsockopt(self, level: int, name: int, value: int) -> None:
        """There is none."""


class _Wire(asyncio.Transport):
    """Takes everything, and says afterwards whether it was closed."""

    def __init__(self) -> None:
        super().__init__({"socket": _Socket()})
        self.closed = False
        self.reading = True

    @override
    def write(self, data: Any) -> None:
        assert not self.closed

    @override
    def get_write_buffer_size(self) -> int:
        return 0

    @override
    def is_closing(self) -> bool:
        return self.closed

    @override
    def abort(self) -> None:
        self.closed = True

    @override
    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    @override
    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True


async def _conversation(first: bytes, second: bytes, step: int) -> None:
    """Two questions over one connection, if the first leaves it fit for another."""
    buffer = bytearray(64 * 1024)
    connection, wire = Connection(buffer), _Wire()
    connection.connection_made(wire)
    for answer in (first, second):
        asking = asyncio.ensure_future(_read(connection))
        await turns()
        for start in range(0, len(answer), step):
            if wire.closed:
                break
            piece = answer[start : start + step]
            connection.get_buffer(-1)[: len(piece)] = piece
            connection.buffer_updated(len(piece))
            await turns()
        if not asking.done():
            await turns()
            if not asking.done():
                connection.eof_received()
        try:
            body = await asking
        except httpx2.TransportError:
            assert not connection.is_reusable
            await turns()
            assert wire.closed
            connection.connection_lost(None)
            return
        assert len(body) <= len(answer)
        assert 200 <= connection.status <= 999
        if not (connection.is_open and connection.is_reusable):
            return


async def _read(connection: Connection) -> bytes:
    await connection.ask(b"?")
    pieces: list[bytes] = []
    while piece := await connection.readany():
        pieces.append(piece)
    return b"".join(pieces)


def _heard(data: bytes) -> None:
    """An input is two answers, and how many bytes come at a time."""
    first, second, step = parts_of(data, 3)[:3]
    LOOP.run_until_complete(_conversation(first, second, 1 + (step[0] if step else 255)))


_PLAIN = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nx-request-id: r\r\n\r\nyes!"
_CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nyes\r\n1;a=b\r\n!\r\n0\r\nx-last: 1\r\n\r\n"
_EARLY = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
_UNTIL_THE_END = b"HTTP/1.0 503 No\r\n\r\nbusy"
TARGETS = (
    Target(
        "http-answer",
        "what a provider's server sends over its connection, HTTP or not, in whatever pieces",
        _heard,
        (
            joined(_PLAIN, _CHUNKED),
            joined(_EARLY + _PLAIN, _PLAIN, b"\x00"),
            joined(_CHUNKED, _UNTIL_THE_END, b"\x06"),
            joined(_PLAIN + _PLAIN),
            joined(b"HTTP/1.1 204 No\r\nconnection: close\r\n\r\n", _PLAIN),
            joined(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"),
        ),
    ),
)
