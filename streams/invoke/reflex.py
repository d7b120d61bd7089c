"""What a worker does by itself about a deployment in trouble, before `watch` has spoken for all: after a run of
failures it asks nobody there for a few seconds, and after a 429 for as long as it was told to.

Both wear off by themselves, so that a worker that is wrong is wrong for seconds only.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, assert_never

from msgspec import Struct

from schemas.control import Breaker
from streams.control import ControlView
from streams.verdicts import Verdict

RUN = 10
"""Failures in a row, with no answer between them. No fewer than `watch` wants to have seen: who stops asking sooner
takes from it the evidence on which it would speak for all.
"""
SHUT_MS = 5_000
"""`watch` has spoken by then. If it has not, one call finds out how things are, and the others wait for it."""
FORGET_MS = 30_000
"""A run that has not grown for so long is over."""
PAUSE_MS = 200
"""After a 429 that does not say how long: enough for what others know to arrive. A second, with one in twenty turned
away, is most of the time.
"""
LONGEST_PAUSE_MS = 60_000
"""Of the worker. The request that was told to wait for longer does."""


class Trouble(Struct, frozen=True):
    """`failures` in a row, the last at `failed_ms`; nobody is asked before `shut_until_ms`, nor `paused_until_ms`."""

    failures: int = 0
    failed_ms: int = 0
    shut_until_ms: int = 0
    paused_until_ms: int = 0

    def is_over(self, now_ms: int) -> bool:
        return self.paused_until_ms <= now_ms and self.failed_ms + FORGET_MS <= now_ms

    def wants_probe(self, now_ms: int) -> bool:
        return self.failures >= RUN and self.shut_until_ms <= now_ms < self.failed_ms + FORGET_MS


NO_TROUBLE = Trouble()


def after(
    trouble: Trouble, verdict: Verdict, retry_after_ms: int | None, now_ms: int, *, began_ms: int | None = None
) -> Trouble:
    """What is known of a deployment after one more of its calls has ended, which began just now if nothing else is
    said. One that began before it was shut says nothing new when it fails too: calls that hang end for as long as they
    may last, and each would put off the probe.
    """
    match verdict:
        case "answered":
            return NO_TROUBLE if trouble.paused_until_ms <= now_ms else Trouble(paused_until_ms=trouble.paused_until_ms)
        case "limited":
            pause_ms = min(retry_after_ms or PAUSE_MS, LONGEST_PAUSE_MS)
            until_ms = max(trouble.paused_until_ms, now_ms + pause_ms)
            return Trouble(trouble.failures, trouble.failed_ms, trouble.shut_until_ms, until_ms)
        case "failed":
            failures = 1 if trouble.failed_ms + FORGET_MS <= now_ms else trouble.failures + 1
            if began_ms is not None and began_ms < trouble.shut_until_ms:
                shut_until_ms = trouble.shut_until_ms
            else:
                shut_until_ms = now_ms + SHUT_MS if failures >= RUN else 0
            return Trouble(failures, now_ms, shut_until_ms, trouble.paused_until_ms)
        case _ as unreachable:
            assert_never(unreachable)


class Reflexes:
    """Of one worker. Holds only deployments in trouble, so that a healthy fleet costs nothing."""

    def __init__(self) -> None:
        self._troubles: dict[str, Trouble] = {}

    def ended(
        self,
        name: str,
        verdict: Verdict | None,
        retry_after_ms: int | None,
        now_ms: int,
        *,
        began_ms: int | None = None,
    ) -> None:
        if verdict is None or (verdict == "answered" and name not in self._troubles):
            return
        trouble = after(self._troubles.get(name, NO_TROUBLE), verdict, retry_after_ms, now_ms, began_ms=began_ms)
        if trouble.is_over(now_ms):
            self._troubles.pop(name, None)
        else:
            self._troubles[name] = trouble

    def seen(self, control: ControlView, now_ms: int) -> ControlView:
        """The configuration with breakers as this worker has them."""
        if not self._troubles:
            return control
        for name in [name for name, trouble in self._troubles.items() if trouble.is_over(now_ms)]:
            del self._troubles[name]
        shut = _shut(self._troubles, control.breakers, now_ms)
        return replace(control, breakers={**control.breakers, **shut}) if shut else control


def _shut(troubles: Mapping[str, Trouble], breakers: Mapping[str, Breaker], now_ms: int) -> dict[str, Breaker]:
    """`watch` is not contradicted where it says more: its breaker stays open for as long as it said."""
    found: dict[str, Breaker] = {}
    for name, trouble in troubles.items():
        fleet = breakers.get(name)
        fleet_until_ms = fleet.until_ms if fleet is not None and fleet.state == "open" else 0
        until_ms = max(trouble.shut_until_ms, trouble.paused_until_ms)
        if until_ms > max(now_ms, fleet_until_ms):
            found[name] = _breaker(name, "open", until_ms)
        elif fleet_until_ms <= now_ms and trouble.wants_probe(now_ms):
            found[name] = _breaker(name, "half_open", until_ms)
    return found


def _breaker(name: str, state: Literal["open", "half_open"], until_ms: int) -> Breaker:
    return Breaker(name=name, state=state, until_ms=until_ms, failure_share=1, calls=RUN, p95_ms=0, since_ms=until_ms)
