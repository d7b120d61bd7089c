"""Who waits until the limits of its tenant take it: in lines of those that ask the same meters, in order of arrival."""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Sequence

from msgspec import Struct

from schemas.account import Registration
from streams.state.precedence import Precedence

Line = tuple[str | None, str | None]
"""A tenant's user, and the model where the tenant has limits for it: all in one line move the same meters."""


class Waiter(Struct, frozen=True):
    """`offset` is that of its llm.validated record: whose is lower asked before."""

    request_id: str
    offset: int
    tokens: int
    size_bytes: int


class Crowd:
    """All of one tenant that wait. `precedence` is what has been worked out of the first of each line so far."""

    def __init__(self) -> None:
        self.count = 0
        self.size_bytes = 0
        self.precedence = Precedence()
        self._lines: dict[Line, OrderedDict[bytes, Waiter]] = {}
        self._line_of: dict[bytes, Line] = {}
        self._places: dict[Line | None, list[int]] = {None: []}  # offsets in their order: of a line, and of all
        self._tokens_of: dict[Line | None, int] = {None: 0}
        self._heads: list[tuple[int, Line]] = []  # by offset
        self._of_user: dict[str, set[Line]] = {}
        self._of_model: dict[str, set[Line]] = {}

    @property
    def heads(self) -> Sequence[tuple[int, Line]]:
        """Where the first of each line stands, the oldest first."""
        return self._heads

    def head(self, line: Line) -> Waiter:
        return next(iter(self._lines[line].values()))

    def oldest(self) -> Waiter:
        return self.head(self._heads[0][1])

    def before(self, offset: int | None, line: Line | None = None) -> tuple[int, int]:
        """How many wait, in a line or in all, and how many tokens they will ask for: all of them, or those that asked
        before one who waits too, whose tokens are taken to be as many as those of the others.
        """
        places = self._places.get(line, ())
        tokens = self._tokens_of.get(line, 0)
        if offset is None or not places:
            return len(places), tokens
        count = bisect_left(places, offset)
        return count, tokens * count // len(places)

    def is_first(self, key: bytes) -> bool:
        line = self._line_of.get(key)
        return line is not None and next(iter(self._lines[line])) == key

    def add(self, key: bytes, line: Line, waiter: Waiter) -> None:
        if key in self._line_of:
            return
        self._line_of[key] = line
        if line not in self._lines:
            self._begin(line, waiter)
        self._lines[line][key] = waiter
        for each in (line, None):
            insort(self._places[each], waiter.offset)
            self._tokens_of[each] += waiter.tokens
        self.count += 1
        self.size_bytes += waiter.size_bytes

    def remove(self, key: bytes) -> Waiter | None:
        """Returns who is first in its line then, if that has changed."""
        line = self._line_of.pop(key, None)
        if line is None:
            return None
        waiters = self._lines[line]
        was_first = next(iter(waiters)) == key
        gone = waiters.pop(key)
        self.count -= 1
        self.size_bytes -= gone.size_bytes
        for each in (line, None):
            places = self._places[each]
            del places[bisect_left(places, gone.offset)]
            self._tokens_of[each] -= gone.tokens
        if not was_first:
            return None
        del self._heads[bisect_left(self._heads, gone.offset, key=_offset)]
        self.precedence.forget(gone.offset)
        if not waiters:
            self._end(line)
            return None
        first = next(iter(waiters.values()))
        self._put(first.offset, line)
        return first

    def moved(self, user_id: str | None, model: str | None = None) -> None:
        """The meters of a user, or of a model, stand elsewhere."""
        if model in self._of_model:
            self.precedence.forget(0)
        for line in self._of_user.get(user_id or "", ()):
            self.precedence.forget(self.head(line).offset)

    def _begin(self, line: Line, waiter: Waiter) -> None:
        self._lines[line] = OrderedDict()
        self._places[line], self._tokens_of[line] = [], 0
        self._put(waiter.offset, line)
        for name, lines in zip(line, (self._of_user, self._of_model), strict=True):
            if name is not None:
                lines.setdefault(name, set()).add(line)

    def _end(self, line: Line) -> None:
        del self._lines[line], self._places[line], self._tokens_of[line]
        for name, lines in zip(line, (self._of_user, self._of_model), strict=True):
            if name is not None:
                lines[name].discard(line)
                if not lines[name]:
                    del lines[name]

    def _put(self, offset: int, line: Line) -> None:
        self.precedence.forget(offset)
        insort(self._heads, (offset, line), key=_offset)


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
            waiter = Waiter(event.request_id, event.offset, event.deferred_tokens, event.deferred_bytes)
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

    def forget(self, key: bytes) -> None:
        """One that nobody was there to look at for so long that its id is forgotten."""
        for tenant_id, crowd in tuple(self._crowds.items()):
            crowd.remove(key)
            if not crowd.count:
                del self._crowds[tenant_id]


def held_as(tenant_id: str, request_id: str) -> str:
    """The name under which a request that waits is held back. A tenant's id holds no slash."""
    return f"{tenant_id}/{request_id}"


def _offset(head: tuple[int, Line]) -> int:
    return head[0]
