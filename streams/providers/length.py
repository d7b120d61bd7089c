"""How long an answer may be. The time of a call is bounded, but in that time a faulty endpoint can send gigabytes."""

from collections.abc import AsyncIterator
from typing import cast

import httpx2
from typing_extensions import override

MIB = 1024 * 1024
WHOLE_BYTES = 64 * MIB
"""Ten times what fits on a topic of ours."""
STREAM_BYTES = 256 * MIB
"""A million tokens, each in an event of its own."""
PACKED = 32
"""A packed body may be as many times shorter: it is unpacked as it comes."""


class AnswerTooLong(ValueError):
    """Read as what it is: not an answer in the provider's protocol."""


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, limit: int) -> None:
        self._stream = stream
        self._limit = limit

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0
        async for piece in self._stream:
            received += len(piece)
            if received > self._limit:
                raise AnswerTooLong(f"the answer is longer than {self._limit} bytes")
            yield piece

    @override
    async def aclose(self) -> None:
        await self._stream.aclose()


async def bound(response: httpx2.Response) -> None:
    """A response hook: before anything of the body is read."""
    limit = STREAM_BYTES if "event-stream" in response.headers.get("content-type", "") else WHOLE_BYTES
    if response.headers.get("content-encoding", "identity") != "identity":
        limit //= PACKED
    response.stream = _Bounded(cast("httpx2.AsyncByteStream", response.stream), limit)
