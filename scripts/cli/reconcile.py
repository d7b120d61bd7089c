"""`millrace reconcile`: our calls, held against what the provider says it charged for."""

from collections.abc import Sequence
from decimal import Decimal
from time import time_ns
from typing import Annotated, assert_never

import typer
import uuid_utils

from schemas.adjustment import BookedCall
from scripts.cli.clickhouse import clickhouse
from scripts.cli.command_group import command_app
from scripts.cli.fault import Fault
from scripts.cli.horizon import refuse_what_is_gone
from scripts.cli.kafka import BootstrapServers, reach
from scripts.cli.operator_word import audited, tell
from scripts.cli.screen import AsJson, show_json, show_table
from scripts.cli.since import WAYS, clock, since_ms
from scripts.cli.usage_source import usage_records
from sinks.ledger import Chosen, Ledger
from streams.cost.reconciliation import Agrees, Differs, Found, NotBilled, NotFound, Outcome, Period, Stray, before_usd
from streams.cost.settlement import Settlement, settle
from streams.cost.usage_export import UsageRecord

app = command_app()

AROUND_MS = 3_600_000
"""Longer than any call takes: so much before and after the period is looked at, for those at its ends."""
STILL_OPEN_MS = 900_000
_MOST_SHOWN = 20


@app.command(epilog="Example: millrace reconcile --usage november.csv --provider openai --from 2026-11-01 --dry-run")
def reconcile(
    usage: Annotated[
        str, typer.Option(metavar="FILE|URL", help="The provider's usage export, as JSON lines or CSV: docs/money.md.")
    ],
    start: Annotated[str, typer.Option("--from", help=f"Charged from then on: {WAYS}.")] = "24h",
    end: Annotated[str | None, typer.Option("--to", help="Charged before then. (default: now)")] = None,
    provider: Annotated[
        str | None, typer.Option(help="Whose records these are, and whose calls are compared. (default: as they say)")
    ] = None,
    deployment: Annotated[
        list[str] | None, typer.Option(help="Compare calls of this deployment only. Repeatable. (default: all)")
    ] = None,
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="The export is a part: calls that are not in it are left alone.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    as_json: AsJson = False,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Compare our calls with what a provider says it charged for, and adjust ours to it.

    No call row is changed: what differs gets an adjustment, which running it again does not make twice. Exit status 1
    when a difference is left that no row explains: a call that we have a price for and the provider no record of.
    """
    now_ms = time_ns() // 1_000_000
    period = Period(since_ms(start, now_ms), now_ms if end is None else since_ms(end, now_ms))
    if period.end_ms <= period.start_ms:
        raise Fault("--from must be before --to")
    records = usage_records(usage, provider)
    providers = (provider,) if provider else tuple(sorted({record.provider for record in records}))
    if not providers:
        raise Fault(f"--usage {usage} holds no record: say with --provider whose calls were not charged")
    if strangers := sorted({record.provider for record in records} - set(providers)):
        raise Fault(
            f"--usage {usage} has records of {', '.join(strangers)}, which are not {provider}'s: leave them out"
        )
    if not incomplete and not any(period.start_ms <= record.at_ms < period.end_ms for record in records):
        raise Fault(
            f"--usage {usage} holds {len(records)} records and none from {clock(period.start_ms)} to "
            f"{clock(period.end_ms)} UTC: that would take every call as not charged; check the file and the period"
        )
    chosen = Chosen(period.start_ms - AROUND_MS, period.end_ms + AROUND_MS, (), providers, tuple(deployment or ()))
    cluster = None if dry_run else reach(bootstrap_servers)
    run_id = str(uuid_utils.uuid7())
    with clickhouse() as (connection, settings):
        ledger = Ledger(connection, settings.database)
        refuse_what_is_gone(
            ledger, period.start_ms, AROUND_MS, "what was charged for them would be taken for charges of nobody's"
        )
        result = compared(
            ledger, records, chosen, period, is_complete=not incomplete, run_id=run_id, open_since_ms=now_ms
        )
        if cluster is not None and result.writes:
            reason, whose = f"compared with {usage}", f"provider/{'+'.join(providers)}"
            tell(cluster, audited("reconciled", whose, reason=reason, detail=_detail(result)))
            ledger.add(result.writes)
    if as_json:
        show_json(as_object(result, dry_run=dry_run))
    else:
        _show(result, dry_run=dry_run)
    if result.difference_usd:
        raise typer.Exit(1)


def compared(
    ledger: Ledger,
    records: Sequence[UsageRecord],
    chosen: Chosen,
    period: Period,
    *,
    is_complete: bool,
    run_id: str,
    open_since_ms: int | None = None,
) -> Settlement:
    """Writes nothing. With `open_since_ms`, calls that may still be priced then are left out, with their records: their
    own rows are about to say it. Raises the driver's ClickHouseError.
    """
    young_ms = period.end_ms if open_since_ms is None else open_since_ms - STILL_OPEN_MS
    found = ledger.calls(chosen)
    calls = [call for call in found if not call.is_open or call.started_at_ms < young_ms]
    waiting = [call for call in found if call.is_open and call.started_at_ms >= young_ms]
    ours = {(call.provider, call.attempt_id) for call in waiting}
    theirs = {(call.provider, call.provider_request_id) for call in waiting if call.provider_request_id}
    around = [
        record
        for record in records
        if chosen.start_ms <= record.at_ms < chosen.end_ms
        and (record.provider, record.client_request_id) not in ours
        and (record.provider, record.request_id) not in theirs
    ]
    standing = [
        each
        for each in ledger.adjustments(period.start_ms, period.end_ms)
        if each.kind == "reconcile" and (not chosen.providers or each.provider in chosen.providers)
    ]
    return settle(
        calls, around, standing, period, is_complete=is_complete, run_id=run_id, deployments=chosen.deployments
    )


def as_object(result: Settlement, *, dry_run: bool) -> dict[str, object]:
    """Money as text, to the last digit."""
    return {
        **_counts(result),
        "written": 0 if dry_run else len(result.writes),
        "to_write": len(result.writes),
        "ours_before_usd": _usd(result.ours_before_usd),
        "ours_after_usd": _usd(result.ours_after_usd),
        "theirs_usd": _usd(result.theirs_usd),
        "difference_usd": _usd(result.difference_usd),
        "rows": [_row(outcome) for outcome in result.outcomes if not isinstance(outcome, Agrees)],
    }


def _show(result: Settlement, *, dry_run: bool) -> None:
    rows = [_row(outcome) for outcome in result.outcomes if not isinstance(outcome, Agrees)]
    if rows:
        headings = ("what", "tenant", "attempt", "provider's id", "started or charged", "ours USD", "theirs USD")
        # what is on one side only comes first: it is what somebody has to look at
        rows.sort(key=lambda row: row["what"] not in ("not found", "unknown to us"))
        shown = [[value if value is not None else "-" for value in row.values()] for row in rows[:_MOST_SHOWN]]
        show_table(headings, shown, right=headings[-2:])
        if len(rows) > _MOST_SHOWN:
            print(f"and {len(rows) - _MOST_SHOWN} more: see --json")
        print()
    sums = (
        ("our sum before", f"{result.ours_before_usd:f}"),
        ("our sum after", f"{result.ours_after_usd:f}"),
        ("their sum", f"{result.theirs_usd:f}"),
        ("difference after", f"{result.difference_usd:f}"),
    )
    counts = ((name.replace("_", " "), str(count)) for name, count in _counts(result).items())
    show_table(("", "count or USD"), (*counts, *sums), right=("count or USD",))
    verb = "would be written" if dry_run else "written"
    print(f"{len(result.writes)} adjustments {verb}")
    if result.difference_usd:
        print("a difference is left: the rows that are not found say which calls it is made of")


def _counts(result: Settlement) -> dict[str, int]:
    return {
        "compared": len(result.outcomes) - len(result.strays),
        "records": result.records,
        "agreeing": result.agreeing,
        "adjusted": result.adjusted,
        "not_found_by_them": len(result.not_found),
        "unknown_to_us": len(result.strays),
    }


def _row(outcome: Outcome) -> dict[str, str | None]:
    match outcome:
        case Agrees(call, record):
            return _line("agrees", call, record)
        case Differs(call, record):
            return _line("differs", call, record)
        case Found(call, record):
            return _line("found", call, record)
        case NotBilled(call):
            return _line("not charged", call, None)
        case NotFound(call):
            return _line("not found", call, None)
        case Stray(record, owner, _):
            return {
                "what": "unknown to us",
                "tenant": owner.tenant_id if owner else None,
                "attempt": record.client_request_id,
                "provider_id": record.request_id,
                "at": clock(record.at_ms),
                "ours_usd": None,
                "theirs_usd": _usd(record.cost_usd),
            }
        case _:
            assert_never(outcome)


def _line(what: str, call: BookedCall, record: UsageRecord | None) -> dict[str, str | None]:
    return {
        "what": what,
        "tenant": call.tenant_id,
        "attempt": call.attempt_id,
        "provider_id": record.request_id if record else call.provider_request_id,
        "at": clock(call.started_at_ms),
        "ours_usd": _usd(before_usd(call)),
        "theirs_usd": None if record is None else _usd(record.cost_usd),
    }


def _detail(result: Settlement) -> dict[str, str]:
    sums = {"ours_before_usd": f"{result.ours_before_usd:f}", "ours_after_usd": f"{result.ours_after_usd:f}"}
    counts = {name: str(count) for name, count in _counts(result).items()}
    return {**counts, **sums, "theirs_usd": f"{result.theirs_usd:f}", "adjustments": str(len(result.writes))}


def _usd(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"
