"""One HTTP exchange as the simulator sees it: the body that came, what goes out, and whether anybody still listens."""

import asyncio
from collections.abc import Iterable

from starlette.types import Receive, Send

from scripts.simulator.dialect import HeaderList

# Anthropic documents 32 MB; OpenAI's limit is of the same order.
MOST_BODY_BYTES = 32 * 1024 * 1024


class BodyTooLarge(Exception):
    """The client sent more than a provider accepts."""


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class Wire:
    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send

    async def body(self) -> bytes:
        """The whole request body. Raises BodyTooLarge or ClientGone."""
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            return message["body"]
        parts: list[bytes] = []
        size = 0
        while message["type"] == "http.request":
            parts.append(message["body"])
            size += len(parts[-1])
            if size > MOST_BODY_BYTES:
                raise BodyTooLarge
            if not message.get("more_body"):
                return b"".join(parts)
            message = await self._receive()
        raise ClientGone

    async def gone(self) -> None:
        """Returns once the client has closed the connection."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def gone_within(self, seconds: float) -> bool:
        """Waits so long, or until the client closes the connection; says whether it did."""
        if seconds <= 0:
            return False
        try:
            async with asyncio.timeout(seconds):
                await self.gone()
        except TimeoutError:
            return False
        return True

    async def start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def write(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        """Completes the response. A response that is never ended is cut: the server closes its connection."""
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def json(self, status: int, headers: HeaderList, body: bytes) -> None:
        await self.start(status, [*headers, *json_headers(body)])
        await self.end(body)


def json_headers(body: bytes) -> HeaderList:
    return [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
