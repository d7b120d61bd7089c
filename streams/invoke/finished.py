"""Which requests this worker must not call for again: those already completed. By the name of their round."""

from collections import OrderedDict
from hashlib import blake2b

REMEMBERED_MS = 6 * 3_600_000
MOST_REMEMBERED = 1_000_000
"""The newest; 250 bytes each. What comes again was in flight or uncommitted at a crash, and that is far less."""


class Finished:
    """Kept for the life of the worker: what is completed stays so, whoever owns its partition."""

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._completed_ms: OrderedDict[bytes, int] = OrderedDict()

    def __contains__(self, identity: str) -> bool:
        return _digest(identity) in self._completed_ms

    def add(self, identity: str, now_ms: int) -> None:
        digest = _digest(identity)
        self._completed_ms[digest] = now_ms
        self._completed_ms.move_to_end(digest)  # so that the order stays that of the times
        self._forget(now_ms - REMEMBERED_MS)

    def _forget(self, before_ms: int) -> None:
        while self._completed_ms:
            digest, completed_ms = next(iter(self._completed_ms.items()))
            if completed_ms >= before_ms and len(self._completed_ms) <= self._most:
                return
            del self._completed_ms[digest]


def _digest(identity: str) -> bytes:
    """120 bits: however long an id is, it takes the same room, and no two meet by chance."""
    return blake2b(identity.encode(), digest_size=15).digest()
