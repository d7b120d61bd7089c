"""So many calls to one deployment at once and no more: whoever finds it busy queues, first come, first served."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable


class Places:
    """`limit` is asked whenever a place is wanted or given back, so a limit that changes holds from then on."""

    def __init__(self, limit: Callable[[str], int]) -> None:
        self._limit = limit
        self._taken: Counter[str] = Counter()
        self._queues: dict[str, deque[asyncio.Future[None]]] = {}

    def take_at_once(self, name: str) -> bool:
        """False when somebody waits already: nobody overtakes."""
        queue = self._queues.get(name)
        if (queue and any(not turn.done() for turn in queue)) or self._taken[name] >= self._limit(name):
            return False
        self._taken[name] += 1
        return True

    async def take(self, name: str) -> None:
        """Returns with a place, which must be given back. Whoever is cancelled has none."""
        turn = asyncio.get_running_loop().create_future()
        self._queues.setdefault(name, deque()).append(turn)
        self._admit(name)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was given at the same moment
                self.give_back(name)
            raise

    def give_back(self, name: str) -> None:
        self._taken[name] -= 1
        self._admit(name)

    def _admit(self, name: str) -> None:
        queue = self._queues.get(name)
        while queue and (queue[0].done() or self._taken[name] < self._limit(name)):
            turn = queue.popleft()
            if not turn.done():
                self._taken[name] += 1
                turn.set_result(None)
        if not queue:
            self._queues.pop(name, None)
