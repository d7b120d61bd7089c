"""What is known of every attempt: from its rows on `llm.calls`, the completions that name it, and the bill.

Kept for the whole run, about half a KB each: whatever comes to light last may be about the first.
"""

from dataclasses import dataclass
from decimal import Decimal

from schemas.call import PHASE_VERSION
from schemas.usage import CostStatus
from scripts.chaos.verify.facts import Called, Completed, Seen
from scripts.chaos.verify.snapshot import BillLine, Snapshot


@dataclass(slots=True)
class Attempt:
    """Times are UTC in milliseconds, None while it has not happened. `number`: the how-manieth of its plan, 0: no call.
    `phase`: the highest on the topic; `stored`: the highest seen in ClickHouse (0: none). `bills`: how many lines of
    the bill are about it.
    """

    identity: str
    tenant_id: str
    number: int
    produced_ms: int
    phase: int = 0
    cost_status: CostStatus = "unknown_billable"
    cost_usd: Decimal | None = None
    started_ms: int | None = None
    ended_ms: int | None = None
    bills: int = 0
    billed_ms: int | None = None
    billed_usd: Decimal = Decimal(0)
    is_billed_whole: bool = False
    stored: int = 0
    is_charged: bool = False

    @property
    def is_attempt(self) -> bool:
        return self.number > 0

    @property
    def is_known(self) -> bool:
        """Whether its row says what it cost, and not only what it may have cost."""
        return self.cost_status == "priced"


@dataclass(frozen=True, slots=True)
class Ended:
    """A completion: when it was written, UTC in milliseconds, and the attempts it names."""

    at_ms: int
    attempts: tuple[str, ...]


class Attempts:
    """`first_completions`: by identity, the attempts of the completion that came first. `ends`: by attempt, the
    first completion that names it. `answered`: attempts that brought a whole answer.
    """

    def __init__(self) -> None:
        self.by_id: dict[str, Attempt] = {}
        self.first_completions: dict[str, tuple[str, ...]] = {}
        self.ends: dict[str, Ended] = {}
        self.answered: set[str] = set()
        self.unstored: dict[str, int] = {}
        self.bills = 0
        self.billed_usd = Decimal(0)
        self._unmatched: list[BillLine] = []

    @property
    def oldest_unstored_ms(self) -> int | None:
        return min((self.by_id[attempt_id].produced_ms for attempt_id in self.unstored), default=None)

    def take(self, seen: Seen) -> None:
        match seen.fact:
            case Called() as row:
                self._row(row, seen.at_ms)
            case Completed() as completed:
                self.first_completions.setdefault(completed.identity, completed.attempts)
                ended = Ended(seen.at_ms, completed.attempts)
                if completed.answered_by is not None:
                    self.answered.add(completed.answered_by)
                for attempt_id in completed.attempts:
                    self.ends.setdefault(attempt_id, ended)
            case _:
                pass

    def _row(self, row: Called, at_ms: int) -> None:
        attempt = self.by_id.get(row.attempt_id)
        if attempt is None:
            attempt = Attempt(row.identity, row.tenant_id, row.attempt_no, row.produced_ms)
            self.by_id[row.attempt_id] = attempt
        phase = PHASE_VERSION[row.phase]
        if row.phase == "started":
            attempt.started_ms = attempt.started_ms or at_ms
        else:
            attempt.ended_ms = attempt.ended_ms or at_ms
        if phase >= attempt.phase:
            attempt.phase, attempt.cost_status, attempt.cost_usd = phase, row.cost_status, row.cost_usd
        if phase > attempt.stored:
            self.unstored[row.attempt_id] = attempt.phase

    def look(self, snapshot: Snapshot) -> None:
        """Before the invariants do."""
        for line in snapshot.bill:
            self.bills += 1
            self.billed_usd += line.cost_usd
        self._unmatched = [line for line in (*self._unmatched, *snapshot.bill) if not self._billed(line)]
        for row in snapshot.rows or ():
            attempt = self.by_id.get(row.attempt_id)
            if attempt is not None:
                attempt.stored = max(attempt.stored, PHASE_VERSION[row.phase])
                if attempt.stored >= self.unstored.get(row.attempt_id, 0):
                    self.unstored.pop(row.attempt_id, None)

    def _billed(self, line: BillLine) -> bool:
        """Whether anything is known of the attempt that it is for: its row may be read later."""
        attempt = self.by_id.get(line.attempt_id or "")
        if attempt is None:
            return False
        attempt.bills += 1
        attempt.billed_ms = line.at_ms
        attempt.is_billed_whole = line.ending == "complete"
        attempt.billed_usd += line.cost_usd
        return True
