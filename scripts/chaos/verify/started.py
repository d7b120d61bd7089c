"""No provider hears of an attempt that is not on the ledger."""

from collections.abc import Sequence

from scripts.chaos.verify.attempts import Attempts
from scripts.chaos.verify.facts import Called, Completed, Seen
from scripts.chaos.verify.snapshot import BillLine, Snapshot
from scripts.chaos.verify.tally import Tally
from scripts.chaos.verify.wording import clock, where


class Started:
    """Completions are held until the rows that were written before them have surely been read."""

    def __init__(self, attempts: Attempts) -> None:
        self.tally = Tally("started before called", "every provider call has a started row before it")
        self._attempts = attempts
        self._named: list[tuple[str, str]] = []
        self._due: list[tuple[str, str]] = []

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
        for line in snapshot.bill:
            self.tally.hold(self._unstarted(line))
        for attempt_id, place in self._due:
            attempt = self._attempts.by_id.get(attempt_id)
            missing = attempt is None or attempt.started_ms is None
            self.tally.hold(f"{attempt_id}, named at {place}, has no started row" if missing else None)
        self._due, self._named = self._named, []

    def _unstarted(self, line: BillLine) -> str | None:
        if line.attempt_id is None:
            return f"a call billed at {clock(line.at_ms)} names no attempt"
        attempt = self._attempts.by_id.get(line.attempt_id)
        if attempt is None or attempt.started_ms is None:
            return f"{line.attempt_id} was billed at {clock(line.at_ms)} and has no started row"
        if attempt.started_ms > line.arrived_ms:
            started = clock(attempt.started_ms)
            return f"{line.attempt_id} was asked at {clock(line.arrived_ms)}, its started row is of {started}"
        return None

    def waits(self) -> Sequence[str]:
        return ()

    def end(self, _snapshot: Snapshot) -> None:
        """Whatever is named now was written before everything was read to its end."""
        for attempt_id, place in [*self._due, *self._named]:
            attempt = self._attempts.by_id.get(attempt_id)
            missing = attempt is None or attempt.started_ms is None
            self.tally.hold(f"{attempt_id}, named at {place}, has no started row" if missing else None)
        self._due, self._named = [], []
