"""Which requests this worker must not call for again: those already completed."""

from schemas.flow import Completion

REMEMBERED_MS = 6 * 3_600_000


class Finished:
    """Relearned from `llm.completions` when partitions are assigned."""

    def __init__(self) -> None:
        self._completed_ms: dict[str, int] = {}

    def __contains__(self, identity: str) -> bool:
        return identity in self._completed_ms

    def add(self, completion: Completion, now_ms: int) -> None:
        identity = completion.ticket.identity
        self._completed_ms.pop(identity, None)  # so that the order stays that of the times
        self._completed_ms[identity] = now_ms
        self._forget(now_ms - REMEMBERED_MS)

    def _forget(self, before_ms: int) -> None:
        while self._completed_ms:
            identity, completed_ms = next(iter(self._completed_ms.items()))
            if completed_ms >= before_ms:
                return
            del self._completed_ms[identity]
