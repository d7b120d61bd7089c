"""Every attempt on `llm.calls` is one row in ClickHouse's `calls` view, as the topic has it; nothing else is there."""

from collections import Counter
from collections.abc import Sequence

from schemas.call import PHASE_VERSION
from scripts.chaos.verify.attempts import Attempt, Attempts
from scripts.chaos.verify.facts import Seen
from scripts.chaos.verify.snapshot import Snapshot, TableRow
from scripts.chaos.verify.tally import Tally


class Rows:
    def __init__(self, attempts: Attempts) -> None:
        self.one = Tally(
            "one row", "every attempt on llm.calls has one row in ClickHouse, in its last phase, unchanged"
        )
        self.known = Tally("no row from nowhere", "every row in ClickHouse is on llm.calls, under the same tenant")
        self.final = Tally("one final row", "every request has exactly one row that ends it")
        self._attempts = attempts

    @property
    def tallies(self) -> Sequence[Tally]:
        return self.one, self.known, self.final

    def take(self, seen: Seen) -> None:
        pass

    def look(self, snapshot: Snapshot) -> None:
        if snapshot.is_whole:
            return  # `end` looks at all of them
        for row in snapshot.rows or ():
            if row.attempt_id in self._attempts.by_id:  # or it may not be readable yet
                self._trace(row)

    def _trace(self, row: TableRow) -> None:
        attempt = self._attempts.by_id.get(row.attempt_id)
        if attempt is None:
            self.known.hold(
                f"{row.attempt_id} of {row.tenant_id}/{row.request_id} is in ClickHouse and not on llm.calls"
            )
        elif attempt.tenant_id != row.tenant_id:
            self.known.hold(
                f"{row.attempt_id} is {attempt.tenant_id}'s on llm.calls and {row.tenant_id}'s in ClickHouse"
            )
        else:
            self.known.hold(None)

    def waits(self) -> Sequence[str]:
        unstored = len(self._attempts.unstored)
        return [f"{unstored} rows are not in ClickHouse yet"] if unstored else []

    def end(self, snapshot: Snapshot) -> None:
        if snapshot.rows is None:
            self.one.hold("ClickHouse could not be read at the end")
            return
        stored: dict[str, TableRow] = {}
        copies = Counter(row.attempt_id for row in snapshot.rows)
        finals: Counter[str] = Counter()
        for row in snapshot.rows:
            self._trace(row)
            stored[row.attempt_id] = row
            attempt = self._attempts.by_id.get(row.attempt_id)
            if row.is_final and attempt is not None:
                finals[attempt.identity] += 1
        for attempt_id, attempt in self._attempts.by_id.items():
            self.one.hold(_difference(attempt_id, attempt, stored.get(attempt_id), copies[attempt_id]))
        for identity in {attempt.identity for attempt in self._attempts.by_id.values()}:
            count = finals[identity]
            self.final.hold(None if count == 1 else f"{identity} has {count} final rows in ClickHouse")


def _difference(attempt_id: str, attempt: Attempt, row: TableRow | None, copies: int) -> str | None:
    name = f"{attempt_id} of {attempt.identity}"
    if row is None:
        return f"{name} is on llm.calls and not in ClickHouse"
    if copies > 1:
        return f"{name} is in ClickHouse {copies} times"
    if PHASE_VERSION[row.phase] != attempt.phase:
        return f"{name} is {row.phase} in ClickHouse and in phase {attempt.phase} on llm.calls"
    if (row.cost_status, row.cost_usd) != (attempt.cost_status, attempt.cost_usd):
        return (
            f"{name} is {row.cost_status} {row.cost_usd} in ClickHouse and {attempt.cost_status} {attempt.cost_usd} "
            "on llm.calls"
        )
    return None
