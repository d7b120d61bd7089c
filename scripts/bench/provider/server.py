"""Serves chat completions on raw asyncio: no framework, no parsing of JSON, no task for each call."""

import asyncio
import resource
import signal
import time
from collections import deque
from typing import Final, cast

from pydantic import ValidationError

from schemas.base import dump_json
from scripts.bench.provider.pace import Pace, reply
from scripts.bench.provider.wire import Asked, NotSpoken, Reader, answer
from scripts.stack.ports import LOOPBACK

_BACKLOG: Final = 16_384
_NOT_FOUND: Final = answer(b'{"error":{"message":"no such path"}}', b"404 Not Found")
_BAD: Final = answer(b'{"error":{"message":"cannot be read"}}', b"400 Bad Request")


class Provider:
    """`answered` counts completions; `most_open` is the most that waited at once."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.answered = 0
        self.open = 0
        self.most_open = 0
        self.first_asked_ns = 0

    def stats(self) -> bytes:
        return dump_json(
            {
                "answered": self.answered,
                "open": self.open,
                "most_open": self.most_open,
                "first_asked_ns": self.first_asked_ns,
            }
        )

    def asked(self) -> None:
        self.first_asked_ns = self.first_asked_ns or time.time_ns()
        self.open += 1
        self.most_open = max(self.most_open, self.open)

    def restart(self, body: bytes) -> bool:
        """Takes a new pace and counts from zero; False for one that cannot be read."""
        try:
            self.pace = Pace.model_validate_json(body)
        except ValidationError:
            return False
        self.answered = self.most_open = self.first_asked_ns = 0
        return True


class _Connection(asyncio.Protocol):
    """Answers in the order of the questions, as HTTP wants it, also where several wait on one connection."""

    def __init__(self, provider: Provider, loop: asyncio.AbstractEventLoop) -> None:
        self._provider = provider
        self._loop = loop
        self._reader = Reader()
        self._due: deque[tuple[float, bytes]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        self._transport = None
        self._provider.open -= len(self._due)
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            for asked in self._reader.feed(data):
                self._take(asked)
        except NotSpoken:
            if self._transport is not None:
                self._transport.write(_BAD)
                self._transport.close()

    def _take(self, asked: Asked) -> None:
        if self._transport is None:
            return
        if asked.target.endswith(b"/chat/completions"):
            self._owe(asked.body)
        elif asked.target == b"/stats":
            self._transport.write(answer(self._provider.stats()))
        elif asked.target == b"/pace":
            self._transport.write(answer(b"{}") if self._provider.restart(asked.body) else _BAD)
        else:
            self._transport.write(answer(b"{}") if asked.target == b"/healthz" else _NOT_FOUND)

    def _owe(self, body: bytes) -> None:
        provider = self._provider
        owed = reply(provider.pace, body)
        provider.asked()
        self._due.append((self._loop.time() + owed.after_s, answer(owed.body)))
        if len(self._due) == 1:
            self._wait()

    def _wait(self) -> None:
        due_s, _ = self._due[0]
        if due_s <= self._loop.time():
            self._pay()
        else:
            self._timer = self._loop.call_at(due_s, self._pay)

    def _pay(self) -> None:
        _, owed = self._due.popleft()
        self._provider.open -= 1
        self._provider.answered += 1
        if self._transport is not None:
            self._transport.write(owed)
        if self._due:
            self._wait()


async def serve(port: int, pace: Pace) -> None:
    """Until SIGTERM or SIGINT. Raises OSError when the port is taken."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # each call in flight holds a connection
    loop = asyncio.get_running_loop()
    provider, stop = Provider(pace), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await loop.create_server(lambda: _Connection(provider, loop), LOOPBACK, port, backlog=_BACKLOG)
    async with server:
        await stop.wait()
