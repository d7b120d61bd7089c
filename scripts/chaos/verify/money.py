"""What is booked is what the provider bills, to the last decimal; what is not known is said to be unknown."""

from collections.abc import Sequence
from decimal import Decimal

from scripts.chaos.verify.attempts import Attempt, Attempts
from scripts.chaos.verify.facts import Seen
from scripts.chaos.verify.snapshot import Snapshot
from scripts.chaos.verify.tally import Tally

NOTHING = Decimal(0)


class Money:
    """All is compared at the end, when every attempt is in its last phase. `sum` uses what ClickHouse has."""

    def __init__(self, attempts: Attempts) -> None:
        self.each = Tally("cost is the bill", "an attempt of known cost costs what its line on the bill says")
        self.unknown = Tally("unknown is not nothing", "an attempt of unknown cost says so, and never 0")
        self.priced = Tally("answers have a price", "the cost of a call that was answered and billed whole is known")
        self.sum = Tally("sum of the bill", "bill = known rows in ClickHouse + lines of attempts of unknown cost")
        self._attempts = attempts

    @property
    def tallies(self) -> Sequence[Tally]:
        return self.each, self.unknown, self.priced, self.sum

    def take(self, seen: Seen) -> None:
        pass

    def look(self, snapshot: Snapshot) -> None:
        pass

    def waits(self) -> Sequence[str]:
        return ()

    def end(self, snapshot: Snapshot) -> None:
        unknown_usd = NOTHING
        self.priced.hold(self._nothing_known())
        for attempt_id, attempt in self._attempts.by_id.items():
            name = f"{attempt_id} of {attempt.identity}"
            if attempt.bills > 1:
                self.each.hold(f"{name} is on the bill {attempt.bills} times")
            if attempt.bills == 1 and attempt.is_billed_whole and attempt_id in self._attempts.answered:
                is_silent = f"{name} was answered and billed whole, and is {attempt.cost_status}"
                self.priced.hold(None if attempt.is_known else is_silent)
            if attempt.is_known:
                self.each.hold(_wrong(name, attempt))
            else:
                unknown_usd += attempt.billed_usd
                self.unknown.hold(_belittled(name, attempt))
        if snapshot.rows is None:
            return  # said by the rows
        known_usd = sum((row.cost_usd or NOTHING for row in snapshot.rows if row.cost_status == "priced"), NOTHING)
        billed_usd = self._attempts.billed_usd
        self.sum.hold(
            None
            if billed_usd == known_usd + unknown_usd
            else f"the bill says {billed_usd} USD, ClickHouse {known_usd} and {unknown_usd} of unknown cost"
        )

    def _nothing_known(self) -> str | None:
        """Whatever completions say of who was answered."""
        whole = [attempt for attempt in self._attempts.by_id.values() if attempt.is_billed_whole]
        is_any_known = not whole or any(attempt.is_known for attempt in whole)
        return None if is_any_known else f"{len(whole)} calls were billed whole, and of none the cost is known"


def _wrong(name: str, attempt: Attempt) -> str | None:
    if attempt.cost_usd == attempt.billed_usd:
        return None
    billed = f"{attempt.billed_usd} USD" if attempt.bills else "nothing"
    return f"{name} is booked at {attempt.cost_usd} USD and billed {billed}"


def _belittled(name: str, attempt: Attempt) -> str | None:
    match attempt.cost_status:
        case "estimated":
            is_nothing = not attempt.cost_usd and attempt.billed_usd > 0
            return f"{name} is estimated at {attempt.cost_usd} and billed {attempt.billed_usd}" if is_nothing else None
        case _:
            return (
                f"{name} is {attempt.cost_status} at {attempt.cost_usd} USD" if attempt.cost_usd is not None else None
            )
