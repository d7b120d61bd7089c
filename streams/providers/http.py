"""One exchange over HTTP as a call needs it: a body out, an answer of bounded length in."""

from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Any, Protocol, Self

import httpx2
from typing_extensions import override

from schemas.base import load_json
from streams.providers.length import AnswerTooLong, most_bytes


class Pieces(Protocol):
    async def readany(self) -> bytes:
        """The next piece of the body; empty when it has ended. Raises when it broke off."""
        ...


class Answer:
    """Its connection goes back to its pool, or is closed if there is more to come, when the context is left.

    `headers` have lower-case names; what is no UTF-8 in them stands there as lone surrogates.
    """

    def __init__(self, status: int, headers: Mapping[str, str], pieces: Pieces, release: Callable[[], Any]) -> None:
        self.status = status
        self._headers = headers
        self._pieces = pieces
        self._release = release

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300  # noqa: PLR2004  # what the protocol calls so

    def header(self, name: str) -> str | None:
        """By its lower-case name, fit to be written down: of what is no UTF-8 nothing is left."""
        value = self._headers.get(name)
        return None if value is None else _bytes(value).decode(errors="replace")

    async def read(self) -> bytes:
        """The whole body. Raises AnswerTooLong and AnswerPacked, both before it fills the memory."""
        return b"".join([piece async for piece in self.pieces()])

    async def pieces(self) -> AsyncIterator[bytes]:
        """As they come. Raises as `read` does."""
        most, received = most_bytes(self._headers), 0
        while piece := await self._pieces.readany():
            received += len(piece)
            if received > most:
                raise AnswerTooLong(f"the answer is longer than {most} bytes")
            yield piece

    async def said(self) -> object:
        """The whole body as JSON, or as text where it is none. Raises as `read` does."""
        body = await self.read()
        try:
            return load_json(body)
        except ValueError:
            return body.decode(errors="replace")

    def as_response(self, request: httpx2.Request) -> httpx2.Response:
        """As the SDKs' streams and errors want it. What is read of it here or there is gone from the other."""
        return httpx2.Response(
            self.status,
            headers=[(_bytes(name), _bytes(value)) for name, value in self._headers.items()],
            stream=_Stream(self),
            request=request,
            extensions={"http_version": b"HTTP/1.1"},
        )


class _Stream(httpx2.AsyncByteStream):
    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._answer.pieces():
            yield piece


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


class Http(Protocol):
    """The way to one address, as one client."""

    async def post(self, body: bytes, headers: Mapping[str, str], connect_s: float) -> Answer:
        """Returns when the answer has begun. `headers` are added to those of every request. Getting a connection takes
        `connect_s` at most. Raises httpx2's errors: one for which `transport_error` says NotSent only if nothing was
        sent.
        """
        ...

    async def close(self) -> None: ...
