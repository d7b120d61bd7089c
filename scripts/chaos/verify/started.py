"""No provider hears of an attempt that is not on the ledger.

What has no started row yet may have one that could not be read: judged when it is there, at the latest at the end.
"""

from collections.abc import Sequence
from dataclasses import replace

from scripts.chaos.verify.attempts import Attempts
from scripts.chaos.verify.facts import Called, Completed, Seen
from scripts.chaos.verify.snapshot import BillLine, Snapshot
from scripts.chaos.verify.tally import Tally
from scripts.chaos.verify.wording import clock, where


class Started:
    def __init__(self, attempts: Attempts) -> None:
        self.tally = Tally("started before called", "every provider call has a started row before it")
        self._attempts = attempts
        self._named: list[tuple[str, str]] = []
        self._billed: list[BillLine] = []

    @property
    def tallies(self) -> Sequence[Tally]:
        return (self.tally,)

    def take(self, seen: Seen) -> None:
        match seen.fact:
            case Called(is_attempt=True, phase="settled" | "priced") as row:
                started_ms = self._attempts.by_id[row.attempt_id].started_ms
                gone = f"{row.phase} row of {row.attempt_id} at {where(seen.place)} comes before any started row"
                self.tally.hold(gone if started_ms is None else None)
            case Completed() as completed:
                self._named += [(attempt_id, where(seen.place)) for attempt_id in completed.attempts]
            case _:
                pass

    def look(self, snapshot: Snapshot) -> None:
        self._billed = [line for line in (*self._billed, *snapshot.bill) if not self._judged(line)]
        found = {each for each in self._named if self._started_ms(each[0]) is not None}
        for _ in found:
            self.tally.hold(None)
        self._named = [each for each in self._named if each not in found]

    def _judged(self, line: BillLine) -> bool:
        if line.attempt_id is None:
            self.tally.hold(f"a call billed at {clock(line.at_ms)} names no attempt")
            return True
        started_ms = self._started_ms(line.attempt_id)
        if started_ms is None:
            return False
        asked, started = clock(line.arrived_ms), clock(started_ms)
        is_late = f"{line.attempt_id} was asked at {asked}, its started row is of {started}"
        self.tally.hold(is_late if started_ms > line.arrived_ms else None)
        return True

    def _started_ms(self, attempt_id: str) -> int | None:
        attempt = self._attempts.by_id.get(attempt_id)
        return None if attempt is None else attempt.started_ms

    def waits(self) -> Sequence[str]:
        return ()

    def end(self, snapshot: Snapshot) -> None:
        self.look(replace(snapshot, bill=()))
        for line in self._billed:
            self.tally.hold(f"{line.attempt_id} was billed at {clock(line.at_ms)} and has no started row")
        for attempt_id, place in self._named:
            self.tally.hold(f"{attempt_id}, named at {place}, has no started row")
        self._billed, self._named = [], []
