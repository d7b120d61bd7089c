"""No key, prompt or answer is where operators look: logs, metrics, rows, alerts, dead letters' headers, errors."""

from collections.abc import Sequence

from scripts.chaos.verify.facts import Responded, Seen
from scripts.chaos.verify.snapshot import Snapshot
from scripts.chaos.verify.tally import Tally
from scripts.chaos.verify.wording import where

SEARCHED = ("calls", "alerts", "dlq")


class Secrets:
    def __init__(self) -> None:
        self.tally = Tally("nothing leaks", "no mark of a prompt, an answer or a key in logs, metrics, rows or headers")

    @property
    def tallies(self) -> Sequence[Tally]:
        return (self.tally,)

    def take(self, seen: Seen) -> None:
        if seen.topic in SEARCHED:
            self.tally.hold(f"{', '.join(seen.leaks)} in what is shown of {where(seen.place)}" if seen.leaks else None)
        elif isinstance(seen.fact, Responded):
            quoted = f"the error of {where(seen.place)} quotes its prompt"
            self.tally.hold(quoted if seen.fact.is_prompt_in_error else None)

    def look(self, snapshot: Snapshot) -> None:
        self.tally.hold(None)  # logs and metrics up to here
        for leak in snapshot.leaks:
            self.tally.hold(f"{leak.mark} in {leak.where}")
        for row in snapshot.rows or ():
            self.tally.hold(f"{', '.join(row.leaks)} in ClickHouse's row {row.attempt_id}" if row.leaks else None)

    def waits(self) -> Sequence[str]:
        return ()

    def end(self, snapshot: Snapshot) -> None:
        pass
