"""Which requests other workers are still calling for, so that they are waited for instead of paid again."""

import asyncio
from dataclasses import dataclass, field

from schemas.flow import HandedOver


def _nobody() -> dict[str, int]:
    return {}


@dataclass(slots=True)
class _Held:
    until_ms: dict[str, int] = field(default_factory=_nobody)
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Elsewhere:
    """Each is held until it is completed, or every worker that called for it has stopped or outlived its time."""

    def __init__(self, me: str) -> None:
        self._me = me
        self._held: dict[str, _Held] = {}

    def __contains__(self, identity: str) -> bool:
        return identity in self._held

    def __len__(self) -> int:
        return len(self._held)

    def learn(self, told: HandedOver, now_ms: int) -> None:
        """What this worker told itself is nothing new: it has its own calls at hand."""
        if told.worker == self._me:
            return
        if told.until_ms is not None and told.until_ms > now_ms:
            self._held.setdefault(told.identity, _Held()).until_ms[told.worker] = told.until_ms
        elif (held := self._held.get(told.identity)) is not None:
            held.until_ms.pop(told.worker, None)
            if not held.until_ms:
                self.release(told.identity)

    def release(self, identity: str) -> None:
        """Whoever waits for it goes on."""
        held = self._held.pop(identity, None)
        if held is not None:
            held.over.set()

    def expire(self, now_ms: int) -> None:
        for identity, held in list(self._held.items()):
            if max(held.until_ms.values()) <= now_ms:
                self.release(identity)

    def clear(self) -> None:
        for identity in list(self._held):
            self.release(identity)

    async def over(self, identity: str) -> None:
        """Returns at once for what nobody holds."""
        held = self._held.get(identity)
        if held is not None:
            await held.over.wait()
