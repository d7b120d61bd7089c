"""What `llm.control` says, our own writes included before they have come back.

The topic is the only memory of a breaker: there is no second copy that a crash could leave in disagreement.
"""

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Protocol

from schemas.control import Breaker, Slowdown, control_key
from schemas.money import SpendRate, SpendStop
from schemas.routing import Latency
from streams.control import ControlView
from streams.watch.breaker import untroubled
from streams.watch.slowdown import is_due

Written = Breaker | Slowdown | Latency | SpendStop


class Follower(Protocol):
    """A view of `llm.control` that `follow` brings up to date; `is_current` once it has been to the topic's end."""

    view: ControlView
    is_current: bool

    def follow(self, timeout_s: float = 0) -> bool: ...
    def close(self) -> None: ...


class ControlTimeoutError(Exception):
    """`llm.control` could not be read to its end in time: decisions would rest on what is no longer true."""


class Published:
    """`reread` before the first use, and whenever partitions may have come from another worker."""

    def __init__(self, open_follower: Callable[[], Follower], *, within_s: float = 30) -> None:
        self._open_follower = open_follower
        self._within_s = within_s
        self._follower: Follower | None = None
        self._view = ControlView()
        self._written: dict[str, tuple[int, Written]] = {}

    async def reread(self) -> None:
        """The topic from its beginning to its present end, where the previous owner's last word is."""
        follower = await asyncio.to_thread(self._read_whole)
        self.close()
        self._follower, self._view = follower, follower.view

    def refresh(self) -> ControlView:
        """Takes in what has arrived, without waiting."""
        if self._follower is not None:
            self._follower.follow()
            self._view = self._follower.view
        return self._view

    def breaker(self, deployment: str) -> Breaker:
        """The newest state: what we wrote, until the topic has brought that offset or a later one."""
        written = self._unseen(f"breaker/{deployment}")
        if isinstance(written, Breaker):
            return written
        return self._view.breakers.get(deployment) or untroubled(deployment)

    def latency(self, deployment: str) -> Latency | None:
        """The newest, however old; as with breakers."""
        written = self._unseen(f"latency/{deployment}")
        return written if isinstance(written, Latency) else self._view.latencies.get(deployment)

    def is_timed(self, deployment: str) -> bool:
        """Whether any route is ordered by its latency."""
        return deployment in self._view.timed_deployments

    def spend_stop(self, tenant: str) -> SpendStop | None:
        """The newest, whether it is over or not; as with breakers."""
        written = self._unseen(f"spend_stop/{tenant}")
        return written if isinstance(written, SpendStop) else self._view.spend_stops.get(tenant)

    def slowdown(self, deployment: str) -> Slowdown | None:
        """The newest, whether it is over or not; as with breakers."""
        written = self._unseen(f"slowdown/{deployment}")
        return written if isinstance(written, Slowdown) else self._view.slowdowns.get(deployment)

    def wrote(self, obj: Written, offset: int) -> None:
        self._written[control_key(obj)] = (offset, obj)

    def _unseen(self, key: str) -> Written | None:
        offset, written = self._written.get(key, (-1, None))
        if written is not None and offset > self._view.version:
            return written
        self._written.pop(key, None)
        return None

    def due(self, now_ms: int) -> list[str]:
        """Deployments whose open breaker should let probes through, or that are due to be asked more again."""
        breakers = (self.breaker(name) for name in self._view.breakers)
        found = {breaker.name for breaker in breakers if breaker.state == "open" and breaker.until_ms <= now_ms}
        slowdowns = (self.slowdown(name) for name in self._view.slowdowns)
        return sorted(found.union(each.name for each in slowdowns if each is not None and is_due(each, now_ms)))

    def spend_limit_usd(self, tenant: str) -> Decimal | None:
        known = self._view.tenants.get(tenant)
        return Decimal(known.daily_spend_alert_usd) if known and known.daily_spend_alert_usd else None

    def spend_rate(self, tenant: str) -> SpendRate | None:
        """None where nothing stops the tenant."""
        known = self._view.tenants.get(tenant)
        rate = None if known is None else known.spend_rate
        return None if rate is None or (rate.usd_per_minute is None and rate.times_norm is None) else rate

    def close(self) -> None:
        if self._follower is not None:
            self._follower.close()
            self._follower = None

    def _read_whole(self) -> Follower:
        follower = self._open_follower()
        give_up_at_s = time.monotonic() + self._within_s
        while not follower.is_current:
            if time.monotonic() > give_up_at_s:
                follower.close()
                raise ControlTimeoutError(
                    f"the control topic could not be read to its end within {self._within_s:g} s: "
                    "see that it exists (millrace topics apply) and that its leader answers"
                )
            follower.follow(0.2)
        return follower
