"""Which requests this worker must not call for again: those already completed."""

from collections import OrderedDict

REMEMBERED_MS = 6 * 3_600_000


class Finished:
    """Kept for the life of the worker: what is completed stays so, whoever owns its partition."""

    def __init__(self) -> None:
        self._completed_ms: OrderedDict[str, int] = OrderedDict()

    def __contains__(self, identity: str) -> bool:
        return identity in self._completed_ms

    def add(self, identity: str, now_ms: int) -> None:
        self._completed_ms.pop(identity, None)  # so that the order stays that of the times
        self._completed_ms[identity] = now_ms
        self._forget(now_ms - REMEMBERED_MS)

    def _forget(self, before_ms: int) -> None:
        while self._completed_ms:
            identity, completed_ms = next(iter(self._completed_ms.items()))
            if completed_ms >= before_ms:
                return
            del self._completed_ms[identity]
