"""What is paid for twice was in flight when a worker, or its way to the brokers, was disturbed.

A repeated call is a line of the bill for an attempt that is not in the first completion of its request: retries and
fallbacks of one plan are in it, so they are none. For each request there may be as many as it had attempts in flight
during a disruption. In flight: from the started row to the first later row or, where there is none, until two seconds
after the bill's line. During: from just before the fault to `AFTER_MS` after its target works again, since its return
moves partitions once more. Which worker made a call is not on any topic, so this is a bound and no equation.
"""

from collections.abc import Iterable, Sequence

from scripts.chaos.verify.attempts import Attempt, Attempts
from scripts.chaos.verify.facts import Seen
from scripts.chaos.verify.snapshot import Disruption, Snapshot
from scripts.chaos.verify.tally import Tally
from scripts.chaos.verify.wording import clock

AFTER_MS = 45_000
"""Session timeout, drain and cancelling of the workers that stayed, together."""
WRITTEN_MS = 2_000
UNINVOLVED = (
    "validate",
    "limit",
    "cache",
    "route",
    "postprocess",
    "sink",
    "watch",
    "clickhouse",
    "simulator",
    "provider",
    "load",
)
"""Targets by how their names begin: what happens to them interrupts no provider call in a way that forgets it."""


class Repeats:
    def __init__(self, attempts: Attempts) -> None:
        self.tally = Tally("repeats explained", "repeated paid calls of a request ≤ its calls in flight at disruptions")
        self.repeated = 0
        self._attempts = attempts

    @property
    def tallies(self) -> Sequence[Tally]:
        return (self.tally,)

    def take(self, seen: Seen) -> None:
        pass

    def look(self, snapshot: Snapshot) -> None:
        pass

    def waits(self) -> Sequence[str]:
        return ()

    def end(self, snapshot: Snapshot) -> None:
        disruptions = [each for each in snapshot.disruptions if not each.target.startswith(UNINVOLVED)]
        by_identity: dict[str, dict[str, Attempt]] = {}
        for attempt_id, attempt in self._attempts.by_id.items():
            if attempt.is_attempt:
                by_identity.setdefault(attempt.identity, {})[attempt_id] = attempt
        for identity, attempts in by_identity.items():
            explained = self._attempts.first_completions.get(identity, ())
            repeated = [
                attempt_id for attempt_id in attempts if attempts[attempt_id].bills and attempt_id not in explained
            ]
            self.repeated += len(repeated)
            allowed = sum(in_flight(attempt, disruptions) for attempt in attempts.values())
            self.tally.hold(
                None
                if len(repeated) <= allowed
                else f"{identity}: {len(repeated)} repeated paid calls, {allowed} of its {len(attempts)} calls were in "
                f"flight at a disruption; {', '.join(_told(each, attempts[each]) for each in repeated)}"
            )


def in_flight(attempt: Attempt, disruptions: Iterable[Disruption]) -> bool:
    started_ms = attempt.started_ms
    if started_ms is None:
        return False
    ended_ms = attempt.ended_ms or (attempt.billed_ms or started_ms) + WRITTEN_MS
    return any(
        each.from_ms <= ended_ms and (each.until_ms is None or started_ms <= each.until_ms + AFTER_MS)
        for each in disruptions
    )


def _told(attempt_id: str, attempt: Attempt) -> str:
    started, billed = attempt.started_ms or 0, attempt.billed_ms or 0
    return f"{attempt_id} started {clock(started)} billed {clock(billed)}"
