"""A sink in memory, held to the same contract as the real one."""

from collections.abc import Callable, Sequence

from schemas.call import PHASE_VERSION, CallRow
from sinks.protocol import Refusal, Unavailable

Key = tuple[str, int, str, str]


def key_of(row: CallRow) -> Key:
    return row.tenant_id, row.produced_at_ms // 86_400_000, row.request_id, row.attempt_id


def nothing_wrong(_row: CallRow) -> str | None:
    return None


class FakeSink:
    """`stored` is what a query would see; `writes` is every batch that was tried, in order.

    While `outage` is set, every write raises it. `refuses` says why a row is refused, or None.
    """

    def __init__(self, refuses: Callable[[CallRow], str | None] = nothing_wrong) -> None:
        self.stored: dict[Key, CallRow] = {}
        self.writes: list[tuple[CallRow, ...]] = []
        self.outage: Unavailable | None = None
        self.closed = False
        self._refuses = refuses

    def write(self, rows: Sequence[CallRow]) -> Sequence[Refusal]:
        self.writes.append(tuple(rows))
        if self.outage is not None:
            raise self.outage
        refusals: list[Refusal] = []
        for index, row in enumerate(rows):
            reason = self._refuses(row)
            if reason is not None:
                refusals.append(Refusal(index, reason))
                continue
            known = self.stored.get(key_of(row))
            if known is None or PHASE_VERSION[known.phase] <= PHASE_VERSION[row.phase]:
                self.stored[key_of(row)] = row
        return refusals

    def close(self) -> None:
        self.closed = True
