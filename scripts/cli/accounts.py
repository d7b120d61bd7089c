"""`millrace accounts`: is what is kept of spending what history says, why was a request stopped, and who waits?"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from time import time_ns
from typing import Annotated

import typer

from schemas.account import Registration
from schemas.call import CallRow
from schemas.topics import CALLS
from schemas.wire import DecodeError
from scripts.cli.account_fold import Checked, Row, checked, shares, shown_usd, stopped
from scripts.cli.account_tables import Tables, charged, read_tables
from scripts.cli.account_waits import waits
from scripts.cli.command_group import command_app
from scripts.cli.control_topic import read_control
from scripts.cli.fault import Fault
from scripts.cli.kafka import BootstrapServers, LiveCluster, reach
from scripts.cli.screen import AsJson, show_json, show_table
from scripts.cli.since import clock, since_ms, while_ms
from scripts.cli.topic_reader import TopicReader
from streams.control import ControlView

app = command_app("Check what limit keeps about spending, and explain why a request was stopped.")

_MOST_SHOWN = 20
_MOST_SHARES = 3


@dataclass(frozen=True, slots=True)
class Explained:
    """What a budget had been spent on by some time: by which dimension, what, USD, calls."""

    budget: str
    period: str
    subject: str
    until: str
    shares: tuple[tuple[str, str, str, int], ...]


@app.command(epilog="Example: millrace accounts verify --json")
def verify(
    tenant: Annotated[str | None, typer.Option(help="Of this tenant only.")] = None,
    as_json: AsJson = False,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Compare each budget's account with the sum of the call rows it has counted.

    Exit status 1 when one differs. Rows are kept for 30 days, and on which accounts a request counts for two: where an
    older account does not add up, it cannot be told why, and that is said.
    """
    cluster, now_ms = reach(bootstrap_servers), time_ns() // 1_000_000
    view, tables = read_control(cluster).view, read_tables(cluster, tenant, now_ms)
    rows = list(_rows(cluster, tenant))
    from_ms = min((each.row.produced_at_ms for each in rows), default=now_ms) if _is_cut(cluster) else 0
    found = checked(tables.accounts, tables.registrations, view.budgets, rows, from_ms)
    if as_json:
        lines = [
            {
                **each.key._asdict(),
                "account_usd": shown_usd(each.account_usd),
                "history_usd": shown_usd(each.history_usd),
                "agrees": each.agrees,
            }
            for each in found
        ]
        show_json({"accounts": lines, "rows": len(rows), "agree": all(each.agrees for each in found)})
    else:
        show_table(
            ("budget", "tenant", "subject", "period", "account", "history", ""),
            [
                (
                    each.key.budget,
                    each.key.tenant_id,
                    each.key.subject,
                    each.key.period,
                    shown_usd(each.account_usd),
                    shown_usd(each.history_usd),
                    _verdict(each),
                )
                for each in found
            ],
            right=("account", "history"),
        )
        wrong = sum(not each.agrees for each in found)
        print(f"{len(found)} accounts, {len(rows)} rows of history: " + (f"{wrong} differ" if wrong else "all agree"))
    if not all(each.agrees for each in found):
        raise typer.Exit(1)


def _verdict(each: Checked) -> str:
    if each.history_usd is None:
        return "cannot be told any more"
    return "agrees" if each.agrees else "DIFFERS"


@app.command(epilog="Example: millrace accounts waiting --tenant acme")
def waiting(
    tenant: Annotated[str | None, typer.Option(help="Of this tenant only.")] = None,
    as_json: AsJson = False,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Who waits until limits take it: how many of each tenant, since when, and about how long the next one would."""
    cluster, now_ms = reach(bootstrap_servers), time_ns() // 1_000_000
    view, tables = read_control(cluster).view, read_tables(cluster, tenant, now_ms)
    found = waits(tables, view.tenants, now_ms)
    if as_json:
        show_json({"waiting": [asdict(each) for each in found]})
        return
    if not found:
        print("nobody waits for a limit")
        return
    show_table(
        ("tenant", "waiting", "oldest", "the next would wait"),
        [
            (w.tenant, w.requests, f"{w.oldest_wait_ms / 1_000:.0f} s", f"{w.estimated_wait_ms / 1_000:.0f} s")
            for w in found
        ],
        right=("waiting", "oldest", "the next would wait"),
    )


@app.command(epilog="Example: millrace accounts explain --tenant acme --at 2026-11-28T14:03")
def explain(
    tenant: Annotated[str, typer.Option(help="Whose requests were stopped.")],
    at: Annotated[str | None, typer.Option(help="When: 14:03 (today, UTC), 10m ago, or a date with a time.")] = None,
    request: Annotated[str | None, typer.Option(help="Only this request id.")] = None,
    around: Annotated[str, typer.Option(help="How far around that time to look.")] = "5m",
    as_json: AsJson = False,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Why was I stopped at 14:03?

    Shows refusals of the last two days, where the limit or the budget stood then, and what had used the budget up.
    """
    if at is None and request is None:
        raise Fault("say when with --at, or which request with --request")
    cluster, now_ms = reach(bootstrap_servers), time_ns() // 1_000_000
    view, tables = read_control(cluster).view, read_tables(cluster, tenant, now_ms)
    at_ms = None if at is None else _moment_ms(at, now_ms)
    refused = stopped(tables.registrations.values(), at_ms, request, while_ms(around))
    explained = [*_explained(cluster, view, tables, refused)]
    if as_json:
        show_json({"refusals": [_shown(each) for each in refused], "budgets": explained})
        return
    if not refused:
        when = "" if at_ms is None else f" within {around} of {clock(at_ms)} UTC"
        print(f"nothing of {tenant} was refused{when}; refusals are kept for two days")
        return
    lines = [
        (clock(r.seen_at_ms), r.request_id, r.user_id or "", r.refusal.code, r.refusal.message)
        for r in refused
        if r.refusal
    ]
    show_table(("at (UTC)", "request", "user", "why", "what was said"), lines[:_MOST_SHOWN])
    if len(lines) > _MOST_SHOWN:
        print(f"and {len(lines) - _MOST_SHOWN} more: see --json, or look closer with --around 1m")
    for each in explained:
        whose = f" for {each.subject}" if each.subject else ""
        print(f"\n{each.budget} in {each.period}{whose} had been spent by {each.until} on")
        show_table(("by", "what", "USD", "calls"), each.shares, right=("USD", "calls"))


def _explained(
    cluster: LiveCluster, view: ControlView, tables: Tables, refused: list[Registration]
) -> Iterator[Explained]:
    """For each account that had no room, what had used it up by the last of these refusals."""
    last_ms = {key: each.seen_at_ms for each in refused for key in charged(each)}
    if not last_ms:
        return
    tenant = refused[0].tenant_id
    rows = list(_rows(cluster, tenant))
    for key, until_ms in last_ms.items():
        found = shares(key, tables.registrations, view.budgets, rows, until_ms)
        lines = [
            (by, each.what, shown_usd(each.usd), each.calls)
            for by, listed in found.items()
            for each in listed[:_MOST_SHARES]
        ]
        yield Explained(key.budget, key.period, key.subject, clock(until_ms), tuple(lines))


def _shown(registration: Registration) -> dict[str, object]:
    refusal = registration.refusal
    return {
        "request_id": registration.request_id,
        "user_id": registration.user_id,
        "at_ms": registration.seen_at_ms,
        "code": refusal.code if refusal else None,
        "message": refusal.message if refusal else None,
        "retry_after_ms": refusal.retry_after_ms if refusal else None,
    }


def _rows(cluster: LiveCluster, tenant: str | None) -> Iterator[Row]:
    """Priced rows, in the order of their partition: the order in which `limit` takes them."""
    with TopicReader(cluster, CALLS) as reader:
        for record in reader.read(reader.spans()):
            try:
                row = CallRow.decode(record.value or b"")
            except DecodeError:
                continue
            if row.phase == "priced" and tenant in {None, row.tenant_id}:
                yield Row(record.offset, row)


def _is_cut(cluster: LiveCluster) -> bool:
    """Whether the first rows have been deleted for their age."""
    with TopicReader(cluster, CALLS) as reader:
        return any(span.start for span in reader.spans().values())


def _moment_ms(text: str, now_ms: int) -> int:
    """Raises Fault."""
    if len(text) <= len("14:03:00") and ":" in text:
        today = datetime.fromtimestamp(now_ms / 1_000, UTC)
        return since_ms(f"{today:%Y-%m-%d}T{text}", now_ms)
    return since_ms(text, now_ms)
