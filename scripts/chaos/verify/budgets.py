"""No request is tried more often than its plan says, or too late; and what answers it is the answer to it."""

import re
from collections.abc import Sequence

from scripts.chaos.load import canaries
from scripts.chaos.verify.attempts import Attempts
from scripts.chaos.verify.facts import Dispatched, Responded, Seen
from scripts.chaos.verify.snapshot import Snapshot
from scripts.chaos.verify.tally import Tally
from scripts.chaos.verify.wording import clock, where

BEGUN_MS = 1_000
"""Between the last look at the deadline and the record that says so, on a busy machine."""
_NUMBER = re.compile(rf"(?:{'|'.join(canaries.TENANTS)})-(\d+)(?:-\d)?")


class Budgets:
    def __init__(self, attempts: Attempts) -> None:
        self.budget = Tally("attempts keep their budget", "no more attempts than the plan has, none after the deadline")
        self.answer = Tally("answers fit", "the marks in an answer are those of the question it answers")
        self._attempts = attempts
        self._plans: dict[str, Dispatched] = {}

    @property
    def tallies(self) -> Sequence[Tally]:
        return self.budget, self.answer

    def take(self, seen: Seen) -> None:
        match seen.fact:
            case Dispatched() as dispatched:
                self._plans.setdefault(dispatched.identity, dispatched)
            case Responded() as responded if responded.numbers:
                self.answer.hold(_unfit(responded))
            case _:
                pass

    def look(self, snapshot: Snapshot) -> None:
        pass

    def waits(self) -> Sequence[str]:
        return ()

    def end(self, _snapshot: Snapshot) -> None:
        for attempt_id, attempt in self._attempts.by_id.items():
            plan = self._plans.get(attempt.identity)
            if plan is None or not attempt.is_attempt:
                continue
            name = f"{attempt_id} of {attempt.identity}"
            # where the deadline came while its row was written, there is a row and no call
            began_ms = attempt.started_ms if attempt.bills else None
            deadline_ms = plan.deadline_ms
            if attempt.number > plan.max_attempts:
                self.budget.hold(f"{name} is attempt {attempt.number} of {plan.max_attempts}")
            elif began_ms is not None and deadline_ms is not None and began_ms > deadline_ms + BEGUN_MS:
                self.budget.hold(f"{name} began at {clock(began_ms)}, after its deadline at {clock(deadline_ms)}")
            else:
                self.budget.hold(None)


def _unfit(responded: Responded) -> str | None:
    """Who asks what another has asked shares its number. A text that was cut may end within a number."""
    request_id = responded.replied.identity.partition("/")[2]
    own = _NUMBER.fullmatch(request_id)
    if own is None:
        return None
    strange = {
        number
        for number in responded.numbers
        if number != own[1] and not (responded.is_cut and own[1].startswith(number))
    }
    if not strange:
        return None
    return (
        f"{responded.replied.identity} is answered at {where(responded.replied.place)} as if it were {sorted(strange)}"
    )
