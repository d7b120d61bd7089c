"""One TCP address that clients know, with a network behind it that does what it is told to.

Everything of a gate happens on the event loop that opened it.
"""

import asyncio

from scripts.chaos.network.connection import Pair
from scripts.chaos.network.mode import Losing, Mode, Passing, Refusing
from scripts.stack.ports import LOOPBACK

_BACKLOG = 512


class Gate:
    """Forwards from `port` to `target`, both on this machine."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.target: int | None = None
        self.mode: Mode = Passing()
        self.pairs: set[Pair] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Pair(self).client, LOOPBACK, self.port, reuse_address=True, backlog=_BACKLOG
        )

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    def cut(self) -> int:
        """Reset every connection; returns how many there were."""
        pairs = tuple(self.pairs)
        for pair in pairs:
            pair.reset()
        return len(pairs)

    async def become(self, mode: Mode) -> None:
        self.mode = mode
        if isinstance(mode, Refusing):
            self.close()
            return
        if not isinstance(mode, Losing):
            for pair in tuple(self.pairs):
                pair.go_on()
        if self._server is None:
            await self.open()
