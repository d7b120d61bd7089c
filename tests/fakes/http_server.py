"""A server that reads a request and then answers with whatever bytes a test gives it, HTTP or not."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Answer = Callable[[asyncio.StreamWriter], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class RawServer:
    """`requests` are the heads that came in, with lower-case header names; `bodies` what followed each; `connections`
    how many were made for them, and `ended` how many of those are over.
    """

    base_url: str = ""
    connections: int = 0
    ended: int = 0
    requests: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    bodies: list[bytes] = field(default_factory=list[bytes])


def whole(body: bytes, status: str = "200 OK", content_type: str = "application/json", **headers: str) -> Answer:
    """A complete HTTP answer; underscores in header names are hyphens."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(_head(status, content_type, {**headers, "content_length": str(len(body))}) + body)
        await writer.drain()

    return answer


def events(*frames: bytes, then_cut: bool = False, **headers: str) -> Answer:
    """A stream of server-sent events; `then_cut` closes the connection without ending the body."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(_head("200 OK", "text/event-stream", {**headers, "transfer_encoding": "chunked"}))
        for frame in frames:
            writer.write(b"%x\r\n%s\r\n" % (len(frame), frame))
        if not then_cut:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        if then_cut:
            writer.close()

    return answer


def raw(data: bytes) -> Answer:
    """These bytes, and the end of the connection."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    return answer


@asynccontextmanager
async def serving(answer: Answer) -> AsyncGenerator[RawServer, None]:
    server = RawServer()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        try:
            while True:
                head = _parse(await reader.readuntil(b"\r\n\r\n"))
                server.requests.append(head)
                server.bodies.append(await reader.readexactly(int(head.get("content-length", "0"))))
                await answer(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            server.ended += 1
            writer.close()

    listener = await asyncio.start_server(converse, "127.0.0.1", 0)
    server.base_url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listener.close()
        await listener.wait_closed()


def _head(status: str, content_type: str, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-type: {content_type}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def _parse(head: bytes) -> dict[str, str]:
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    named = (line.partition(":") for line in lines)
    return {"request": first, **{name.lower(): value.strip() for name, _, value in named}}
