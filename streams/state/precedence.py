"""Who is held up by those that asked before, without a look at all of them for each question."""

from bisect import bisect_left
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

Own = Literal["user", "model"]
ALWAYS_US = -1
"""Before any time: nothing of its own holds it up."""


class Stance(Struct, frozen=True):
    """How far the meters of its own user and model hold up the first of a line: until when, and which of them. It does
    not depend on the time at which it is asked.
    """

    ready_us: int
    holder: tuple[Own, str] | None
    tokens: int


class Precedence:
    """The first of each line in order of arrival, as far as anybody has asked. What stands here holds until lines or
    the meters of their users and models change; the tenant's own meters, which move with every request, are not in it.

    The first of a line holds up whoever asked later
    - and needs the meter of the user or model that holds it up itself,
    - whatever they need, once those meters let it through: it goes on, or waits for the tenant's; also when it has come
      to be too large ever to fit, until it is told so and the next of its line is first,
    - whatever they need, while it waits for the tenant's meters for longer than for those.
    """

    def __init__(self) -> None:
        self.basis: object = None
        """The limits by which all this was worked out."""
        self._offsets: list[int] = []
        self._stances: list[Stance] = []
        self._soonest_us: list[int] = []  # when the first of all up to here is let through
        self._most_tokens: list[int] = []  # of all up to here
        self._first: dict[tuple[Own, str], int] = {}  # the lowest offset that a meter holds up
        self._begun: list[tuple[Own, str] | None] = []  # which of those began here

    def __len__(self) -> int:
        return len(self._offsets)

    def begin(self, basis: object) -> None:
        if self.basis is not basis:
            self.forget(0)
            self.basis = basis

    def forget(self, offset: int) -> None:
        """All from this one on."""
        while self._offsets and self._offsets[-1] >= offset:
            self._offsets.pop()
            self._stances.pop()
            self._soonest_us.pop()
            self._most_tokens.pop()
            begun = self._begun.pop()
            if begun is not None:
                del self._first[begun]

    def append(self, offset: int, stance: Stance) -> None:
        begun = None
        if stance.holder is not None and stance.holder not in self._first:
            begun = stance.holder
            self._first[begun] = offset
        self._offsets.append(offset)
        self._stances.append(stance)
        self._soonest_us.append(min([*self._soonest_us[-1:], stance.ready_us]))
        self._most_tokens.append(max([*self._most_tokens[-1:], stance.tokens]))
        self._begun.append(begun)

    def lets_nobody_pass(self, now_us: int) -> bool:
        """Whoever asked after all that stand here is held up by one of them."""
        return bool(self._soonest_us) and self._soonest_us[-1] <= now_us

    def holds_up(
        self, offset: int, user_id: str | None, model: str | None, now_us: int, tenant_ready_us: Callable[[int], int]
    ) -> bool:
        """`tenant_ready_us`: when the tenant's own meters take a request of so many tokens."""
        count = bisect_left(self._offsets, offset)
        if not count:
            return False
        if self._soonest_us[count - 1] <= now_us:
            return True
        if user_id is not None and self._first.get(("user", user_id), offset) < offset:
            return True
        if model is not None and self._first.get(("model", model), offset) < offset:
            return True
        if tenant_ready_us(self._most_tokens[count - 1]) <= now_us:
            return False
        return any(
            tenant_ready_us(stance.tokens) > max(now_us, stance.ready_us - 1) for stance in self._stances[:count]
        )
