"""One request that this worker is calling for, and how long others may have to wait for it."""

import asyncio
from dataclasses import dataclass

from schemas.flow import Dispatch
from streams.runtime.delivery import Delivery

ALLOWANCE_MS = 5_000
"""For writing what has become of a call, for others to read it, and for clocks that differ."""


@dataclass(slots=True)
class Calling:
    """`attempt_since_ms` is when the newest attempt began, or the request was taken. `handed_until_ms` is what the new
    owner of its partition was last told; `lost`: somebody may have owned its partition who was told nothing in time;
    `ended`: its completion is on its way, and may be read at any moment.
    """

    delivery: Delivery
    dispatch: Dispatch
    task: asyncio.Task[bool]
    attempt_since_ms: int
    attempt_no: int = 0
    handed_until_ms: int | None = None
    lost: bool = False
    ended: bool = False

    def until_ms(self) -> int:
        """The latest moment at which the newest attempt's end, or the start of another, can be known to all."""
        ends_ms = self.attempt_since_ms + self.dispatch.plan.timeout_ms
        deadline_ms = self.dispatch.ticket.deadline_ms
        if deadline_ms is not None:
            ends_ms = max(min(ends_ms, deadline_ms), self.attempt_since_ms)
        return ends_ms + ALLOWANCE_MS

    def is_void(self, now_ms: int) -> bool:
        """Somebody else calls for it by now: another call would be one too many, and a failure is not ours to tell."""
        return self.lost or (self.handed_until_ms is not None and now_ms > self.handed_until_ms)
