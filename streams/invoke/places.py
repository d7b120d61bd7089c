"""No more is asked of a deployment than this worker's part of its limits allows: whoever finds it used up queues,
before anything is written and on nobody's clock.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

from msgspec import Struct

from schemas.request import Priority
from streams.invoke.allowance import NOBODY, Ahead, Allowance, Hold, Terms
from streams.invoke.line import Line
from streams.invoke.share import Share
from streams.stages.invoke import Foreseen

LOOK_AGAIN_MS = 250
"""Limits may be changed, and breakers open, while somebody waits for time to pass or for a call to end."""
FEW = 64
"""So many of those that have gone may stand in a line, however few have not."""


class _Turn(Struct):
    tokens: int
    given: asyncio.Future[Hold | None]
    is_counted: bool = True


class Places:
    """`terms` is asked whenever a place is wanted or given back, so a limit that changes holds from then on. Nobody is
    kept in a line before what is `shut`: there may be somebody else to ask.
    """

    def __init__(
        self,
        terms: Callable[[str], Terms],
        shut: Callable[[str], bool],
        now_ms: Callable[[], int],
        sleep_s: Callable[[float], Awaitable[None]],
    ) -> None:
        self._terms = terms
        self._shut = shut
        self._now_ms = now_ms
        self._sleep_s = sleep_s
        self._allowances: dict[str, Allowance] = {}
        self._lines: dict[str, Line[_Turn]] = {}
        self._ahead: dict[str, Ahead] = {}
        self._waking: dict[str, asyncio.Task[None]] = {}
        self._looking: dict[str, asyncio.TimerHandle] = {}

    def take_at_once(self, name: str, tokens: int) -> Hold | None:
        """None when there is nothing left, or somebody waits already: nobody overtakes."""
        if name in self._lines:
            self._admit(name)
            if name in self._lines:
                return None
        return self._taken(name, tokens, self._terms(name), self._now_ms())

    async def take(self, name: str, priority: Priority, tokens: int) -> Hold | None:
        """What must be given back; None when it is to be looked for anew. Whoever is cancelled holds nothing."""
        turn = _Turn(tokens, asyncio.get_running_loop().create_future())
        self._lines.setdefault(name, Line()).add(priority, turn)
        self._count(name, 1, tokens)
        self._admit(name)
        try:
            return await turn.given
        except asyncio.CancelledError:
            hold = None if turn.given.cancelled() else turn.given.result()
            self._uncount(name, turn)
            if hold is not None:  # it was given at the same moment
                self.release(name, hold)
            else:
                self._admit(name)  # who comes after it may need less
            raise

    def give_back(self, name: str, hold: Hold, used: int | None) -> None:
        """After a call that used so many tokens; None where that is not known."""
        self._allowances[name].give_back(hold, self._terms(name), used, self._now_ms())
        self._admit(name)

    def release(self, name: str, hold: Hold) -> None:
        """Without a call."""
        allowance, terms = self._allowances[name], self._terms(name)
        allowance.follow(terms, self._now_ms())
        allowance.release(hold, terms)
        self._admit(name)

    def foresee(self, name: str, tokens: int) -> Foreseen:
        allowance, terms = self._allowances.get(name) or Allowance(), self._terms(name)
        ahead = self._ahead.get(name, NOBODY)
        wait_ms = allowance.wait_ms(terms, tokens, self._now_ms(), ahead)
        return Foreseen(max(wait_ms, allowance.busy_ms(terms, ahead)), round(allowance.call_ms))

    def rescale(self, before: Share, after: Share) -> None:
        """This worker's part has changed, and is in the terms already."""
        for name, allowance in self._allowances.items():
            allowance.rescale(before, after, self._now_ms())
            allowance.follow(self._terms(name), self._now_ms())
        for name in list(self._lines):
            self._admit(name)

    def _taken(self, name: str, tokens: int, terms: Terms, now_ms: int) -> Hold | None:
        allowance = self._allowances.get(name)
        if allowance is None:
            allowance = self._allowances[name] = Allowance()
        if allowance.at_once >= terms.places or allowance.wait_ms(terms, tokens, now_ms) > 0:
            return None
        return allowance.take(terms, tokens, now_ms)

    def _admit(self, name: str) -> None:
        line = self._lines.get(name)
        if line is None:
            return
        while line:
            turn = line.first()
            terms, now_ms = self._terms(name), self._now_ms()  # the same for both questions, or neither lets it go
            if turn.given.done():
                line.drop()
            elif self._shut(name):
                turn.given.set_result(None)
                line.drop()
            elif (hold := self._taken(name, turn.tokens, terms, now_ms)) is not None:
                turn.given.set_result(hold)
                line.pop()
            else:
                self._look_again(name, self._allowances[name].wait_ms(terms, turn.tokens, now_ms))
                return
            self._uncount(name, turn)
        del self._lines[name], self._ahead[name]

    def _count(self, name: str, calls: int, tokens: int) -> None:
        before = self._ahead.get(name, NOBODY)
        self._ahead[name] = Ahead(before.calls + calls, before.tokens + tokens)

    def _uncount(self, name: str, turn: _Turn) -> None:
        """At once, though one that has gone stays in its line until it would be the first, or half of them have."""
        if not turn.is_counted:
            return
        self._leave(name, turn)
        line = self._lines[name]
        if len(line) > 2 * self._ahead[name].calls + FEW:
            line.forget(lambda each: each.given.done() and self._leave(name, each))

    def _leave(self, name: str, turn: _Turn) -> Literal[True]:
        if turn.is_counted:
            turn.is_counted = False
            self._count(name, -1, -turn.tokens)
        return True

    def _look_again(self, name: str, wait_ms: int) -> None:
        """When time alone lets the first one go; where a call must end first, its end is what is waited for."""
        loop = asyncio.get_running_loop()
        if wait_ms > 0:
            if name not in self._waking:
                self._waking[name] = loop.create_task(self._wake(name, wait_ms))
        elif name not in self._looking:
            self._looking[name] = loop.call_later(LOOK_AGAIN_MS / 1_000, self._look, name)

    async def _wake(self, name: str, wait_ms: int) -> None:
        try:
            await self._sleep_s(min(wait_ms, LOOK_AGAIN_MS) / 1_000)
        finally:
            del self._waking[name]
        self._admit(name)

    def _look(self, name: str) -> None:
        del self._looking[name]
        self._admit(name)
