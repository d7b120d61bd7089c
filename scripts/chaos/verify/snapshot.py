"""What lies outside the topics, as it was at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from schemas.call import Phase
from schemas.usage import CostStatus
from scripts.chaos.load.sending import Kind
from scripts.cli.audit_fold import Place

GroupPartition = tuple[str, str, int]
"""The group's part (a stage, `sink`, `watch`), the topic's full name, the partition."""


@dataclass(frozen=True, slots=True)
class BillLine:
    """`attempt_id` is what the caller called itself; `ending` is `complete`, `cut` or `abandoned`. The question was
    there at `arrived_ms`, and all was over at `at_ms`.
    """

    at_ms: int
    attempt_id: str | None
    cost_usd: Decimal
    ending: str
    arrived_ms: int


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of ClickHouse's `calls` view."""

    attempt_id: str
    tenant_id: str
    request_id: str
    phase: Phase
    cost_status: CostStatus
    cost_usd: Decimal | None
    is_final: bool
    leaks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Disruption:
    """A fault of the journal, from just before it was done until its target worked again (None: it has not yet)."""

    kind: str
    target: str
    from_ms: int
    until_ms: int | None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A line of `load.jsonl`: the broker said that it has this record. `place` is None where it did not say where: a
    repetition of what it had is acknowledged like that. `kind`: what sort of request it was.
    """

    load_number: int
    place: Place | None
    tenant_id: str | None
    request_id: str | None
    kind: Kind


@dataclass(frozen=True, slots=True)
class Leak:
    """A mark in a log or on a metrics page. `where` names the file and byte, or the process."""

    where: str
    mark: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`committed`: next offsets to be read, of the groups that told; below 0 where a commit has vanished. `rows` is
    None when ClickHouse has said nothing since the last snapshot; `rows_since_ms`: they are of requests produced from
    then on, None: of all; `sink_had` is what the sink had committed before they were asked for, None without them.
    `is_whole`: every group told, and the rows are all there are. `bill`, `acknowledged`, `leaks` and `crashes` (words
    in logs) are what came since the last snapshot; `disruptions` are all.
    """

    at_ms: int
    committed: Mapping[GroupPartition, int]
    ends: Mapping[tuple[str, int], int]
    bill: tuple[BillLine, ...] = ()
    rows: tuple[TableRow, ...] | None = None
    rows_since_ms: int | None = None
    sink_had: Mapping[GroupPartition, int] | None = None
    is_whole: bool = False
    acknowledged: tuple[Acknowledged, ...] = ()
    disruptions: tuple[Disruption, ...] = ()
    leaks: tuple[Leak, ...] = ()
    crashes: tuple[Leak, ...] = ()
