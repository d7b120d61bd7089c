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
PLAIN = "identity"
"""The only encoding that is asked for. What is packed is a thousand times as long when it is unpacked, and a single
piece of it may fill the memory before anybody can count.
"""


class AnswerTooLong(ValueError):
    """Read as what it is: not an answer in the provider's protocol."""


class AnswerPacked(ValueError):
    """Nor is this: nobody asked for it."""


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
    if response.headers.get("content-encoding", PLAIN).lower() != PLAIN:
        raise AnswerPacked("the answer is packed")
    response.stream = _Bounded(cast("httpx2.AsyncByteStream", response.stream), limit)
