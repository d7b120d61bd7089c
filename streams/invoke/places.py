"""So many calls to one deployment at once and no more. Whoever finds it busy queues: lanes take turns, the more urgent
the more often, and within a lane its tenants, so that behind a flood nobody waits for all of it.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import cast

from schemas.request import Priority
from streams.invoke.turns import Turns

LANE_WEIGHTS: Mapping[Priority, int] = MappingProxyType({"high": 4, "normal": 2, "low": 1})
_Turn = asyncio.Future[None]


class _Queue:
    """Those that were cancelled stay in it until it would be their turn; `waiting` soon counts them no more."""

    def __init__(self, weight: Callable[[str], int]) -> None:
        self._lanes: Turns[None] = Turns(lambda lane: LANE_WEIGHTS[cast("Priority", lane)])
        self._tenants: dict[str, Turns[_Turn]] = {lane: Turns(weight) for lane in LANE_WEIGHTS}
        self.waiting = 0

    def __len__(self) -> int:
        return len(self._lanes)

    def add(self, lane: Priority, tenant: str, turn: _Turn) -> None:
        self._lanes.add(lane, None)
        self._tenants[lane].add(tenant, turn)
        self.waiting += 1

    def take(self) -> _Turn:
        lane, _ = self._lanes.take()
        return self._tenants[lane].take()[1]


class Places:
    """`limit` is asked whenever a place is wanted or given back, so a limit that changes holds from then on."""

    def __init__(self, limit: Callable[[str], int], weight: Callable[[str], int] = lambda _tenant: 1) -> None:
        self._limit = limit
        self._weight = weight
        self._taken: Counter[str] = Counter()
        self._queues: dict[str, _Queue] = {}

    def take_at_once(self, name: str) -> bool:
        """False when somebody waits already: nobody overtakes."""
        if name in self._queues or self._taken[name] >= self._limit(name):
            return False
        self._taken[name] += 1
        return True

    async def take(self, name: str, lane: Priority = "normal", tenant: str = "") -> None:
        """Returns with a place, which must be given back. Whoever is cancelled has none."""
        turn = asyncio.get_running_loop().create_future()
        queue = self._queues.get(name)
        if queue is None:
            queue = self._queues[name] = _Queue(self._weight)
        queue.add(lane, tenant, turn)
        self._admit(name)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was given at the same moment
                self.give_back(name)
                raise
            queue.waiting -= 1
            self._forget(name)
            raise

    def give_back(self, name: str) -> None:
        self._taken[name] -= 1
        self._admit(name)

    def _admit(self, name: str) -> None:
        queue = self._queues.get(name)
        while queue is not None and len(queue) and self._taken[name] < self._limit(name):
            turn = queue.take()
            if not turn.done():
                self._taken[name] += 1
                queue.waiting -= 1
                turn.set_result(None)
        self._forget(name)

    def _forget(self, name: str) -> None:
        queue = self._queues.get(name)
        if queue is not None and not queue.waiting:
            del self._queues[name]
