"""Who waits until the limits of its tenant take it: in lines of those that ask the same meters, in order of arrival."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence

from msgspec import Struct

from schemas.account import Registration

Line = tuple[str | None, str | None]
"""A tenant's user, and the model where the tenant has limits for it: all in one line move the same meters."""


class Waiter(Struct, frozen=True):
    """`offset` is that of its llm.validated record: whose is lower asked before."""

    request_id: str
    offset: int
    tokens: int


class Crowd:
    """All of one tenant that wait."""

    def __init__(self) -> None:
        self.count = 0
        self.tokens = 0
        self._lines: dict[Line, OrderedDict[bytes, Waiter]] = {}
        self._line_of: dict[bytes, Line] = {}
        self._tokens_of: dict[Line, int] = {}

    def heads(self) -> Iterator[tuple[Line, Waiter]]:
        """Of each line the first."""
        return ((line, next(iter(waiters.values()))) for line, waiters in self._lines.items())

    def line(self, line: Line) -> tuple[int, int]:
        """How many wait in it, and how many tokens they will ask for."""
        return len(self._lines.get(line, ())), self._tokens_of.get(line, 0)

    def is_first(self, key: bytes) -> bool:
        line = self._line_of.get(key)
        return line is not None and next(iter(self._lines[line])) == key

    def add(self, key: bytes, line: Line, waiter: Waiter) -> None:
        if key in self._line_of:
            return
        self._line_of[key] = line
        self._lines.setdefault(line, OrderedDict())[key] = waiter
        self._tokens_of[line] = self._tokens_of.get(line, 0) + waiter.tokens
        self.count += 1
        self.tokens += waiter.tokens

    def remove(self, key: bytes) -> Waiter | None:
        """Returns who is first in its line then, if that has changed."""
        line = self._line_of.pop(key, None)
        if line is None:
            return None
        waiters = self._lines[line]
        was_first = next(iter(waiters)) == key
        gone = waiters.pop(key)
        self.count -= 1
        self.tokens -= gone.tokens
        self._tokens_of[line] -= gone.tokens
        if not waiters:
            del self._lines[line], self._tokens_of[line]
            return None
        return next(iter(waiters.values())) if was_first else None

    def oldest(self) -> Waiter:
        return min((head for _, head in self.heads()), key=lambda head: head.offset)


class Waiting:
    """Follows from the registrations, so a restart knows the same lines in the same order."""

    def __init__(self) -> None:
        self._crowds: dict[str, Crowd] = {}

    def __len__(self) -> int:
        return sum(crowd.count for crowd in self._crowds.values())

    def of(self, tenant_id: str) -> Crowd | None:
        """None where nobody waits: nearly always."""
        return self._crowds.get(tenant_id)

    def take_in(self, key: bytes, event: Registration) -> Sequence[str]:
        """Returns the names of those to be looked at again: whoever is first now, and the oldest of its tenant, for
        whom there may be room.
        """
        crowd = self._crowds.get(event.tenant_id)
        if event.deferred_until_ms is not None:
            if crowd is None:
                crowd = self._crowds[event.tenant_id] = Crowd()
            waiter = Waiter(event.request_id, event.offset, event.deferred_tokens)
            crowd.add(key, (event.user_id, event.model), waiter)
            return ()
        if crowd is None:
            return ()
        first = crowd.remove(key)
        if not crowd.count:
            del self._crowds[event.tenant_id]
            return ()
        firsts = {crowd.oldest().request_id}
        if first is not None:
            firsts.add(first.request_id)
        return [held_as(event.tenant_id, request_id) for request_id in firsts]


def held_as(tenant_id: str, request_id: str) -> str:
    """The name under which a request that waits is held back. A tenant's id holds no slash."""
    return f"{tenant_id}/{request_id}"
