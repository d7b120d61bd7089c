"""A connection through a gate: the client's end, the end made for it, and the bytes on their way between the two."""

import asyncio
import socket
import struct
from collections import deque
from typing import Final, Protocol, assert_never, cast

from typing_extensions import override

from scripts.chaos.network.mode import Holding, Losing, Mode, Passing, Refusing
from scripts.stack.ports import LOOPBACK

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Route(Protocol):
    """Where connections lead (None: nowhere yet, they are reset) and what happens on the way."""

    target: int | None
    mode: Mode
    pairs: "set[Pair]"


class Pair:
    def __init__(self, route: Route) -> None:
        self.route = route
        self.lost_bytes = False
        self.client = Side(self)
        self.server = Side(self)
        self.client.peer, self.server.peer = self.server, self.client
        self._connecting: asyncio.Task[None] | None = None

    def accepted(self) -> None:
        self.route.pairs.add(self)
        self._connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        try:
            if self.route.target is None:
                raise ConnectionRefusedError
            await asyncio.get_running_loop().create_connection(lambda: self.server, LOOPBACK, self.route.target)
        except OSError:
            self.reset()

    def reset(self) -> None:
        self.route.pairs.discard(self)
        for side in (self.client, self.server):
            side.abort()

    def go_on(self) -> None:
        """The mode has changed to one in which bytes arrive, sooner or later."""
        if self.lost_bytes:
            self.reset()
            return
        for side in (self.client, self.server):
            side.release()


class Side(asyncio.Protocol):
    """One end. What is to be written to it may have to wait."""

    peer: "Side"

    def __init__(self, pair: Pair) -> None:
        self.transport: asyncio.Transport | None = None
        self._pair = pair
        self._held: deque[tuple[float, bytes | None]] = deque()  # the loop's time of its arrival; None is the end
        self._timer: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self is self._pair.client:
            self._pair.accepted()
        elif self._pair in self._pair.route.pairs:
            self.release()
        else:
            self.abort()  # the client went, or was reset, while the connection was made

    @override
    def data_received(self, data: bytes) -> None:
        self.peer.take(data)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if exc is not None and isinstance(self._pair.route.mode, Passing):
            self._pair.reset()
            return
        self.peer.take(None)
        if self.peer.transport is None:
            self._pair.route.pairs.discard(self._pair)

    @override
    def pause_writing(self) -> None:
        if self.peer.transport is not None:
            self.peer.transport.pause_reading()

    @override
    def resume_writing(self) -> None:
        if self.peer.transport is not None:
            self.peer.transport.resume_reading()

    def take(self, data: bytes | None) -> None:
        """What the other end has sent; None is its end."""
        mode = self._pair.route.mode
        match mode:
            case Passing(delay_s=0) if not self._held and self.transport is not None:
                self._write(data)
            case Passing(delay_s=delay_s):
                self._held.append((asyncio.get_running_loop().time() + delay_s, data))
                self.release()
            case Holding():
                self._held.append((0.0, data))
            case Losing():
                self._pair.lost_bytes = True
            case Refusing():
                pass
            case _:
                assert_never(mode)

    def release(self) -> None:
        """Write what may arrive by now, and come back for the rest."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.transport is None or not isinstance(self._pair.route.mode, Passing):
            return
        loop = asyncio.get_running_loop()
        while self._held and self._held[0][0] <= loop.time():
            self._write(self._held.popleft()[1])
        if self._held:
            self._timer = loop.call_at(self._held[0][0], self.release)

    def abort(self) -> None:
        """Reset: the other side learns at once, and what was on its way is gone."""
        if self._timer is not None:
            self._timer.cancel()
        self._held.clear()
        if self.transport is not None:
            raw = cast("socket.socket", self.transport.get_extra_info("socket"))
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.transport.abort()

    def _write(self, data: bytes | None) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        if data is None:
            self.transport.close()  # what was written before still arrives
        else:
            self.transport.write(data)
