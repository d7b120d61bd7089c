"""Which faults may cost a worker its calls, and when the calls were under way that they may have cost.

A worker that is killed or frozen loses what it was doing at that moment. One that its brokers do not hear loses what it
is doing when others take its partitions, and no topic says when that is: between the fault and a session after its end.
One that is told to end, or joined by another, hands its calls over and loses none (decision 8), but lets go of what
only waits between two calls, as do all when partitions move.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scripts.chaos.schedule import SESSION_S
from scripts.chaos.verify.runs import Run
from scripts.chaos.verify.snapshot import Disruption

DONE_MS = 2_000
"""From the journal's line until the signal has arrived, on a busy machine."""
SESSION_MS = SESSION_S * 1000
DRAIN_MS = 20_000
"""A worker that fails leaves its group first, and ends when its calls have: it may have left so long before it died."""
LOSSES = 2
"""How often each worker may lose its partitions in one outage: when it begins, and when its coordinator is back."""


@dataclass(frozen=True, slots=True)
class Interruption:
    """Runs under way between the times (UTC, milliseconds since 1970; None: without end) may have been interrupted.
    `of_waiting`: only those between two calls. `losses`: how often all workers may have lost what they were doing then.
    """

    from_ms: int
    until_ms: int | None
    of_waiting: bool
    losses: int

    def meets(self, run: Run) -> bool:
        began_in_time = self.until_ms is None or run.started_ms <= self.until_ms
        if run.is_waiting:  # until somebody else began anew
            return began_in_time
        return not self.of_waiting and began_in_time and self.from_ms <= run.ended_ms

    def most(self, runs: Iterable[Run]) -> int:
        """No more runs than so many can have been interrupted: as many as were ever under way at once."""
        met = [run for run in runs if not self.of_waiting and not run.is_waiting and self.meets(run)]
        if self.losses == 1:  # at one moment, so all that were under way
            return len(met)
        # at the same time one ends and another begins: they may both have been there
        changes = sorted([(run.started_ms, 0, 1) for run in met] + [(run.ended_ms, 1, -1) for run in met])
        most = now = 0
        for _, _, change in changes:
            now += change
            most = max(most, now)
        return self.losses * most


def interruptions(disruptions: Iterable[Disruption]) -> Sequence[Interruption]:
    return [found for each in disruptions if (found := _interruption(each)) is not None]


def _interruption(each: Disruption) -> Interruption | None:
    after_ms = None if each.until_ms is None else each.until_ms + SESSION_MS + DONE_MS
    if each.target.startswith("broker"):
        return Interruption(each.from_ms, after_ms, of_waiting=False, losses=LOSSES)
    if not each.target.startswith("invoke"):
        return None
    match each.kind:
        case "kill" | "freeze":
            return Interruption(each.from_ms, each.from_ms + DONE_MS, of_waiting=False, losses=1)
        case "died":
            return Interruption(each.from_ms - DRAIN_MS, each.from_ms, of_waiting=False, losses=1)
        case _:
            return Interruption(each.from_ms, after_ms, of_waiting=True, losses=0)
