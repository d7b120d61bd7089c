"""Which requests of one partition have their response already, as far back as a repetition could come from."""

from collections.abc import Sequence

from schemas.base import Event
from schemas.response import Response

REMEMBERED_MS = 6 * 3_600_000


def identity_of(response: Response) -> str:
    """The same as the ticket's `identity`, from what the response shows."""
    if response.tenant_id is None:
        return f"?/{response.origin.topic}/{response.origin.partition}/{response.origin.offset}"
    return f"{response.tenant_id}/{response.request_id}"


class Answered:
    def __init__(self) -> None:
        self._answered_ms: dict[str, int] = {}

    def __contains__(self, identity: str) -> bool:
        return identity in self._answered_ms

    def apply(self, event: Event, now_ms: int) -> Sequence[str]:
        if not isinstance(event, Response):
            raise TypeError(f"not a response: {type(event).__name__}")
        self._answered_ms[identity_of(event)] = event.answered_at_ms
        self._forget(now_ms - REMEMBERED_MS)
        return ()

    def _forget(self, before_ms: int) -> None:
        """Oldest first: the dictionary keeps the order in which answers were given."""
        while self._answered_ms:
            identity, answered_ms = next(iter(self._answered_ms.items()))
            if answered_ms >= before_ms:
                return
            del self._answered_ms[identity]
