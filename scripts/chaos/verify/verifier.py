"""All invariants over one history."""

from collections.abc import Mapping, Sequence

from scripts.chaos.verify.answers import Answers
from scripts.chaos.verify.apart import Apart
from scripts.chaos.verify.attempts import Attempts
from scripts.chaos.verify.budgets import Budgets
from scripts.chaos.verify.commits import Commits
from scripts.chaos.verify.crashes import Crashes
from scripts.chaos.verify.facts import Seen
from scripts.chaos.verify.kept import Kept
from scripts.chaos.verify.limits import Limits
from scripts.chaos.verify.money import Money
from scripts.chaos.verify.order import Order
from scripts.chaos.verify.outcomes import Outcomes
from scripts.chaos.verify.repeats import Repeats
from scripts.chaos.verify.responses import Responses
from scripts.chaos.verify.rows import Rows
from scripts.chaos.verify.secrets import Secrets
from scripts.chaos.verify.snapshot import Snapshot
from scripts.chaos.verify.spending import Spending
from scripts.chaos.verify.started import Started
from scripts.chaos.verify.tally import Invariant, Tally
from scripts.chaos.verify.verdict import State, Verdict


class Verifier:
    """`topics`: names without the prefix by full name."""

    def __init__(self, topics: Mapping[str, str]) -> None:
        self.attempts = Attempts()
        self.answers = Answers()
        self._repeats = Repeats(self.attempts)
        self._invariants: Sequence[Invariant] = (
            self.answers,
            Kept(),
            Outcomes(),
            Budgets(self.attempts),
            Responses(),
            Started(self.attempts),
            Rows(self.attempts),
            Money(self.attempts),
            self._repeats,
            Order(),
            Commits(self.attempts, topics),
            Limits(),
            Spending(),
            Apart(self.attempts),
            Secrets(),
            Crashes(),
        )
        self._has_looked = False

    @property
    def tallies(self) -> Sequence[Tally]:
        return [tally for invariant in self._invariants for tally in invariant.tallies]

    def take(self, seen: Seen) -> None:
        self.attempts.take(seen)
        for invariant in self._invariants:
            invariant.take(seen)

    def look(self, snapshot: Snapshot) -> None:
        """Only when every record below the snapshot's ends has been taken."""
        self._has_looked = True
        self.attempts.look(snapshot)
        for invariant in self._invariants:
            invariant.look(snapshot)

    def end(self, snapshot: Snapshot) -> None:
        """After it has been looked at."""
        for invariant in self._invariants:
            invariant.end(snapshot)

    def verdict(self, now_ms: int, state: State | None = None) -> Verdict:
        waits = [wait for invariant in self._invariants for wait in invariant.waits()]
        reached: State = "settled" if self._has_looked and not waits else "watching"
        return Verdict(
            state=state or reached,
            at_ms=now_ms,
            sent=self.answers.requests,
            answered=self.answers.answered,
            open=self.answers.open,
            billed=self.attempts.bills,
            repeated=self._repeats.repeated,
            waits=tuple(waits),
            invariants=tuple(self.tallies),
        )
