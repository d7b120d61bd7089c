"""What a worker knows of each deployment besides its configuration: how much of it may still be asked, who is trying it
out, and how its last calls have ended.
"""

import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager

from schemas.attempt import Attempt
from schemas.flow import Dispatch
from streams.control import ControlView
from streams.cost.usage import UnusableUsage, usage
from streams.invoke.allowance import Hold, Terms, terms_of
from streams.invoke.places import Places
from streams.invoke.probes import Probes
from streams.invoke.reflex import Reflexes
from streams.invoke.share import WHOLE, Share
from streams.stages.invoke import Foresee
from streams.verdicts import verdict_of


class Deployments:
    def __init__(
        self,
        control: Callable[[], ControlView],
        now_ms: Callable[[], int],
        sleep_s: Callable[[float], Awaitable[None]],
    ) -> None:
        self._control = control
        self._now_ms = now_ms
        self._share = self._last_share = WHOLE
        self._places = Places(self._terms, self._is_shut, now_ms, sleep_s)
        self._probes = Probes()
        self._reflexes = Reflexes()

    def hold(self, share: Share) -> None:
        """This worker's part of all limits from now on. While it holds nothing it begins nothing."""
        self._share = share
        if share.held:
            before, self._last_share = self._last_share, share
            self._places.rescale(before, share)

    def seen(self) -> ControlView:
        """The configuration with the breakers as everybody but the probes sees them."""
        now_ms = self._now_ms()
        return self._probes.seen(self._reflexes.seen(self._control(), now_ms), now_ms)

    def take_at_once(self, name: str, tokens: int) -> Hold | None:
        return self._places.take_at_once(name, tokens)

    async def take(self, name: str, dispatch: Dispatch, tokens: int) -> Hold | None:
        """None when who waited shall look around anew."""
        return await self._places.take(name, dispatch.ticket.priority, tokens)

    def release(self, name: str, hold: Hold) -> None:
        """It was not asked after all."""
        self._places.release(name, hold)

    def foresee(self, dispatch: Dispatch, tokens: int) -> Foresee | None:
        return None if dispatch.plan.when_busy == "wait" else lambda name: self._places.foresee(name, tokens)

    def around(self, name: str) -> AbstractContextManager[None]:
        """A call, which is a probe if it is made at such a time."""
        now_ms = self._now_ms()
        return self._probes.around(name, self._reflexes.seen(self._control(), now_ms), now_ms)

    def ended(self, hold: Hold, attempt: Attempt) -> None:
        """Whoever had less time than the route allows, and ran out of it, has not found out anything."""
        name = attempt.deployment
        verdict = None if attempt.hurried else verdict_of(attempt.error_class)
        self._reflexes.ended(name, verdict, attempt.retry_after_ms, self._now_ms(), began_ms=attempt.started_at_ms)
        self._places.give_back(name, hold, _used(hold, attempt))

    def _terms(self, name: str) -> Terms:
        control = self._control()
        deployment = control.deployments.get(name)
        if deployment is None:
            return Terms(sys.maxsize)  # nobody queues for what is gone
        return terms_of(deployment, control.slowdowns.get(name), self._share, self._now_ms())

    def _is_shut(self, name: str) -> bool:
        breaker = self.seen().breakers.get(name)
        return breaker is not None and breaker.state == "open" and breaker.until_ms > self._now_ms()


def _used(hold: Hold, attempt: Attempt) -> int | None:
    """Tokens, by the provider's own count. None of a call that was not answered."""
    if attempt.error_class is not None:
        return None
    if not hold.is_metered:
        return hold.tokens
    try:
        return usage(attempt.provider, attempt.usage_raw).total_tokens
    except UnusableUsage:
        return hold.tokens
