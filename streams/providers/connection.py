"""One connection over HTTP/1.1: a question out, its answer in, one after another. httptools reads what comes in."""

import asyncio
import socket
from collections import deque
from typing import Final, cast

import httptools
import httpx2
from typing_extensions import override

_HELD_BYTES: Final = 512 * 1024
"""Of an answer that nobody has taken yet: no more is read until somebody does."""
_HEAD_BYTES: Final = 64 * 1024
_FRAMING: Final = 8
"""Bytes around each byte of a body, at most: a chunk of one byte has five. More is no answer but a flood."""
_OK: Final = 200
_WITHOUT_BODY: Final = frozenset({204, 304})


class Connection(asyncio.BufferedProtocol):
    """Belongs to one question at a time, from `ask` until `is_reusable` is looked at.

    Raises httpx2.RemoteProtocolError and httpx2.ReadError, always after the question was sent, or may have been.
    `buffer` is what all connections of one loop read into: what comes in is taken before the next one reads.
    """

    def __init__(self, buffer: bytearray) -> None:
        self._buffer = memoryview(buffer)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._awaited: asyncio.Future[None] | None = None
        self._failure: httpx2.TransportError | None = None
        self._begin()
        self._has_ended = True  # nothing is asked yet, and so nothing may come

    def _begin(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._received = 0
        self._body_bytes = 0
        self._held = 0
        self._pieces: deque[bytes] = deque()
        self._has_head = False
        self._has_ended = False
        self._ends_with_connection = False
        self._keeps_alive = False
        self._is_paused = False

    async def ask(self, question: bytes) -> None:
        """Returns when the answer's headers are there: `status` and `headers`, by lower-case names. The connection must
        be open: what is written to a closed one goes nowhere without a word.
        """
        self._begin()
        if self._transport is not None:
            self._transport.write(question)
        while not self._has_head:
            await self._more()

    async def readany(self) -> bytes:
        """The next piece of the body; empty when it has ended."""
        while not self._pieces:
            if self._has_ended:
                return b""
            await self._more()
        if len(self._pieces) == 1:
            piece = self._pieces.popleft()
        else:
            piece = b"".join(self._pieces)
            self._pieces.clear()
        self._held = 0
        if self._is_paused:
            self._is_paused = False
            if self._transport is not None:
                self._transport.resume_reading()
        return piece

    @property
    def is_reusable(self) -> bool:
        """Whether question and answer are through and the server would take another."""
        if self._transport is None or self._failure is not None or self._is_paused:
            return False
        return self._has_ended and self._keeps_alive and not self._transport.get_write_buffer_size()

    @property
    def is_open(self) -> bool:
        return self._failure is None and self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        """At once: whatever else may come is not waited for."""
        self._fail(httpx2.ReadError("the connection was closed"))

    async def _more(self) -> None:
        """Waits until anything has come."""
        if self._failure is not None:
            raise type(self._failure)(str(self._failure))  # an error of its own, which keeps nobody's frames
        self._awaited = self._loop.create_future()
        try:
            await self._awaited
        finally:
            self._awaited = None

    def _wake(self) -> None:
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(None)

    def _fail(self, failure: httpx2.TransportError) -> None:
        if self._failure is None:
            self._failure = failure
            if self._transport is not None:
                # not here: asyncio's TLS is in the middle of handing over what it has read
                self._loop.call_soon(self._transport.abort)
        self._wake()

    # what asyncio calls

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        # a call may be silent for minutes; by this, whoever forgets idle connections on the way does not
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    @override
    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    @override
    def buffer_updated(self, nbytes: int) -> None:
        if self._has_ended or self._failure is not None:
            self._fail(httpx2.RemoteProtocolError("the server spoke without being asked"))
            return
        self._received += nbytes
        try:
            cast("httptools.HttpResponseParser", self._parser).feed_data(self._buffer[:nbytes])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):  # whose words quote what they could not read
            self._fail(httpx2.RemoteProtocolError("the answer is not HTTP"))
            return
        if self._received - self._body_bytes > _HEAD_BYTES + _FRAMING * self._body_bytes:
            self._fail(httpx2.RemoteProtocolError("the answer has too much around it"))
        elif self._held > _HELD_BYTES and not self._is_paused:
            self._is_paused = True
            cast("asyncio.Transport", self._transport).pause_reading()
        self._wake()

    @override
    def eof_received(self) -> None:
        if self._has_head and self._ends_with_connection:
            self._has_ended = True
        self._fail(httpx2.RemoteProtocolError("the server hung up before the end of its answer"))

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(httpx2.ReadError("the connection broke"))
        # each of them knows us, and TLS has a quarter of a MiB with it: together they would wait for the collector
        self._transport = self._parser = None

    # what the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        """Also for what may follow a body, which nobody reads."""
        if not self._has_head:
            self.headers.setdefault(_text(name).lower(), _text(value))

    def on_headers_complete(self) -> None:
        if self._has_head:  # of what nobody asked for
            return
        status = cast("httptools.HttpResponseParser", self._parser).get_status_code()
        if status < _OK:  # more is to come
            self.headers = {}
            return
        self.status = status
        self._has_head = True
        is_chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        is_delimited = is_chunked or "content-length" in self.headers
        self._ends_with_connection = not is_delimited and status not in _WITHOUT_BODY

    def on_body(self, piece: bytes) -> None:
        if self._has_ended or not self._has_head:
            return
        self._pieces.append(piece)
        self._held += len(piece)
        self._body_bytes += len(piece)

    def on_message_begin(self) -> None:
        if self._has_ended:
            self._fail(httpx2.RemoteProtocolError("the server answered twice"))

    def on_message_complete(self) -> None:
        if self._has_head:
            self._has_ended = True
            self._keeps_alive = cast("httptools.HttpResponseParser", self._parser).should_keep_alive()


def _text(header: bytes) -> str:
    """What is no UTF-8 stands there as lone surrogates."""
    return header.decode(errors="surrogateescape")
