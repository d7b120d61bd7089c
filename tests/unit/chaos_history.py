"""Records and snapshots as the verifier sees them: one sound request from its question to its rows, to be broken."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from schemas.call import Phase
from schemas.usage import CostStatus
from scripts.chaos.verify.attempts import Attempts
from scripts.chaos.verify.facts import (
    Admitted,
    Called,
    Cause,
    Completed,
    Dispatched,
    Fact,
    Lettered,
    Passed,
    Requested,
    Responded,
    Seen,
    Validated,
)
from scripts.chaos.verify.snapshot import BillLine, GroupPartition, Snapshot, TableRow
from scripts.chaos.verify.tally import Invariant, Tally
from scripts.cli.audit_fold import Asked, Buried, Place, Replied

NOW_MS = 1_795_219_200_000
COST = Decimal("0.000123")
ATTEMPT = "attempt-1"


def place(topic: str, offset: int) -> Place:
    return Place(f"llm.{topic}", 0, offset)


def seen(
    topic: str, offset: int, fact: Fact, *, by: str | None = None, cause: Place | None = None, at_ms: int = NOW_MS
) -> Seen:
    """`by` and `cause`: which stage wrote it, and for which record."""
    written = None if by is None or cause is None else Cause(by, cause, 0)
    event_id = None if cause is None else f"{cause.topic}/{cause.partition}/{cause.offset}/0"
    return Seen(place(topic, offset), topic, at_ms, event_id, written, fact)


def requested(offset: int = 0, request_id: str | None = "r-1", *, tenant: str | None = "north") -> Seen:
    asked = Asked(place("requests", offset), NOW_MS, tenant, request_id, None)
    return seen("requests", offset, Requested(asked, b"north", offset))


def validated(
    offset: int = 0, *, origin: int = 0, request_id: str = "r-1", digest: str = "d", at_ms: int = NOW_MS
) -> Seen:
    of = place("requests", origin)
    fact = Validated("accepted", f"north/{request_id}", "north", None, of, digest)
    return seen("validated", offset, fact, by="validate", cause=of, at_ms=at_ms)


def admitted(
    offset: int = 0, *, of: int = 0, request_id: str = "r-1", tenant: str = "north", namespace: str = "n"
) -> Seen:
    fact = Admitted(f"{tenant}/{request_id}", namespace)
    return seen("admitted", offset, fact, by="limit", cause=place("validated", of))


def missed(offset: int = 0, *, of: int = 0) -> Seen:
    return seen("misses", offset, Passed(), by="cache", cause=place("admitted", of))


def dispatched(offset: int = 0, *, of: int = 0, request_id: str = "r-1") -> Seen:
    return seen(
        "dispatch.normal", offset, Dispatched(f"north/{request_id}", 3, None), by="route", cause=place("misses", of)
    )


def called(
    offset: int,
    phase: Phase,
    *,
    attempt_id: str = ATTEMPT,
    cost: Decimal | None = None,
    status: CostStatus = "unknown_billable",
    final: bool = False,
    at_ms: int = NOW_MS,
    tokens: int = 0,
    number: int = 1,
    request_id: str = "r-1",
) -> Seen:
    row = Called(f"north/{request_id}", "north", attempt_id, number, phase, status, cost, tokens, NOW_MS, final)
    if phase == "priced":
        return seen("calls", offset, row, by="postprocess", cause=place("completions", 0), at_ms=at_ms)
    return seen("calls", offset, row, by="invoke", cause=place("dispatch.normal", 0), at_ms=at_ms)


def priced(offset: int = 1, *, cost: Decimal = COST, attempt_id: str = ATTEMPT) -> Seen:
    return called(offset, "priced", cost=cost, status="priced", final=True, attempt_id=attempt_id, tokens=7)


def completed(
    offset: int = 0,
    *,
    of: int = 0,
    attempts: tuple[str, ...] = (ATTEMPT,),
    saved: str | None = None,
    at_ms: int = NOW_MS,
    request_id: str = "r-1",
) -> Seen:
    fact = Completed(f"north/{request_id}", "north", attempts, saved, attempts[-1] if attempts and not saved else None)
    return seen("completions", offset, fact, by="invoke", cause=place("dispatch.normal", of), at_ms=at_ms)


def responded(
    offset: int = 0,
    request_id: str = "r-1",
    *,
    answers: int = 0,
    of: int = 0,
    tenant: str | None = "north",
    cost: Decimal | None = COST,
    attempts: int = 1,
    owners: Iterable[str] = ("north",),
) -> Seen:
    asked = place("requests", answers)
    identity = f"{tenant}/{request_id}" if tenant else f"?/llm.requests/0/{answers}"
    replied = Replied(identity, asked, place("responses", offset))
    fact = Responded(replied, tenant, attempts, cost, frozenset(owners), False)
    return seen("responses", offset, fact, by="postprocess", cause=place("completions", of))


def lettered(about: Seen, stage: str, reason: str, *, origin: int = 0) -> Seen:
    buried = Buried(reason, stage, place("requests", origin))
    return seen("dlq", 0, Lettered(buried, about.place))


def charged(of: int = 1) -> Seen:
    return seen("accounts", 0, Passed(), by="limit", cause=place("calls", of))


def sound() -> list[Seen]:
    """One request of north, with one attempt, in the order in which it happens."""
    return [
        requested(),
        validated(),
        admitted(),
        missed(),
        dispatched(),
        called(0, "started"),
        completed(),
        responded(),
        priced(),
        charged(),
    ]


def row(
    attempt_id: str = ATTEMPT, *, tenant: str = "north", cost: Decimal | None = COST, phase: Phase = "priced"
) -> TableRow:
    return TableRow(attempt_id, tenant, "r-1", phase, "priced" if phase == "priced" else "unknown_billable", cost, True)


def billed(
    attempt_id: str | None = ATTEMPT,
    cost: Decimal = COST,
    *,
    at_ms: int = NOW_MS + 5,
    arrived_ms: int | None = None,
    ending: str = "complete",
) -> BillLine:
    return BillLine(at_ms, attempt_id, cost, ending, at_ms if arrived_ms is None else arrived_ms)


def committed(offset: int = 1) -> dict[GroupPartition, int]:
    """By every stage on all it reads, and of both rows by the sink and `limit`."""
    reads = {
        "validate": "requests",
        "limit": "validated",
        "cache": "admitted",
        "route": "misses",
        "invoke": "dispatch.normal",
        "postprocess": "completions",
    }
    found = {(part, f"llm.{topic}", 0): offset for part, topic in reads.items()}
    return found | {("limit", "llm.calls", 0): 2 * offset, ("sink", "llm.calls", 0): 2 * offset}


def snapshot(
    *,
    committed: Mapping[GroupPartition, int] | None = None,
    bill: Iterable[BillLine] = (),
    rows: Iterable[TableRow] | None = None,
) -> Snapshot:
    """Whole when it has rows."""
    offsets = committed or {}
    return Snapshot(
        at_ms=NOW_MS,
        committed=offsets,
        ends={},
        bill=tuple(bill),
        rows=None if rows is None else tuple(rows),
        sink_had=None if rows is None else offsets,
        is_whole=rows is not None,
    )


def fold(invariant: Invariant, records: Iterable[Seen], *snapshots: Snapshot, attempts: Attempts | None = None) -> None:
    """All records, then the snapshots in order, then the end with the last of them."""
    for record in records:
        if attempts is not None:
            attempts.take(record)
        invariant.take(record)
    for each in snapshots:
        if attempts is not None:
            attempts.look(each)
        invariant.look(each)
    invariant.end(snapshots[-1] if snapshots else snapshot())


def broken(invariant: Invariant) -> dict[str, list[str]]:
    """The examples of every tally that was violated."""
    return {tally.name: tally.examples for tally in invariant.tallies if tally.violations}


def checks(tallies: Iterable[Tally]) -> dict[str, int]:
    return {tally.name: tally.checks for tally in tallies}
