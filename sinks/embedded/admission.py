"""Who may work now and who waits: bounded, first come first served, refused with a sentence when it takes too long."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

from sinks.embedded.coding import body_too_large
from sinks.embedded.errors import ClickHouseError


class Lane:
    """A number of places, and a queue before them. Reads and writes have a lane each: neither starves the other."""

    def __init__(self, places: int, waiting: int, wait_s: float) -> None:
        self._places = places
        self._free = asyncio.Semaphore(places)
        self._may_wait = waiting
        self._wait_s = wait_s
        self._waiting = 0

    @asynccontextmanager
    async def place(self) -> AsyncGenerator[None]:
        """Raises ClickHouseError when too many wait already, or the wait was too long."""
        if self._waiting >= self._may_wait:
            raise self._busy(f"{self._waiting} wait already")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_s):
                await self._free.acquire()
        except TimeoutError:
            raise self._busy(f"waited {self._wait_s:g} s") from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._free.release()

    def _busy(self, reason: str) -> ClickHouseError:
        return ClickHouseError(
            202,
            "TOO_MANY_SIMULTANEOUS_QUERIES",
            f"Too many simultaneous queries. Maximum: {self._places}, and {reason}. Try again later.",
        )


class BodyBudget:
    """Bytes of request bodies in memory: of one request, and of all together."""

    def __init__(self, one: int, together: int) -> None:
        self.one = one
        self._together = together
        self._held = 0

    @contextmanager
    def holder(self) -> Generator["BodyShare"]:
        share = BodyShare(self)
        try:
            yield share
        finally:
            self._held -= share.held

    def take(self, share: "BodyShare", length: int) -> None:
        if share.held + length > self.one:
            raise body_too_large(self.one)
        if self._held + length > self._together:
            raise ClickHouseError(
                241, "MEMORY_LIMIT_EXCEEDED", "Request bodies fill the memory set aside for them. Try again later."
            )
        self._held += length
        share.held += length


class BodyShare:
    """What one request holds of the budget."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self.held = 0

    def take(self, length: int) -> None:
        """Raises ClickHouseError when the request, or all of them together, would hold too much."""
        self._budget.take(self, length)
