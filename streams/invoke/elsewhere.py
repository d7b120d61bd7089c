"""Which requests other workers are still calling for, so that they are waited for instead of paid again."""

import asyncio
from dataclasses import dataclass, field

from schemas.flow import HandedOver


def _nobody() -> dict[str, int]:
    return {}


@dataclass(slots=True)
class _Held:
    """`heard_ms`: when the latest news of it came. `at_most_ms`: how long after that its caller may be believed."""

    until_ms: dict[str, int] = field(default_factory=_nobody)
    heard_ms: int = 0
    at_most_ms: int | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def ends_ms(self) -> int:
        told_ms = max(self.until_ms.values())
        return told_ms if self.at_most_ms is None else min(told_ms, self.heard_ms + self.at_most_ms)


class Elsewhere:
    """Each is held until it is completed, or every worker that called for it has stopped or outlived its time: by the
    clock of whoever told it, and by ours no longer than a call may last.
    """

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
            held = self._held.setdefault(told.identity, _Held())
            held.until_ms[told.worker] = told.until_ms
            held.heard_ms = now_ms
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
            if held.ends_ms() <= now_ms:
                self.release(identity)

    def clear(self) -> None:
        for identity in list(self._held):
            self.release(identity)

    async def over(self, identity: str, at_most_ms: int) -> None:
        """Returns at once for what nobody holds, and `at_most_ms` after the latest news of it whatever was told."""
        held = self._held.get(identity)
        if held is not None:
            held.at_most_ms = at_most_ms
            await held.over.wait()
