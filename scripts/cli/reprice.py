"""`millrace reprice`: history by the prices that are known now for then."""

from collections.abc import Iterator
from dataclasses import asdict
from decimal import Decimal
from time import time_ns
from typing import Annotated

import typer
import uuid_utils

from scripts.cli.clickhouse import clickhouse
from scripts.cli.command_group import command_app
from scripts.cli.control_topic import read_control
from scripts.cli.fault import Fault
from scripts.cli.horizon import refuse_what_is_gone
from scripts.cli.kafka import BootstrapServers, reach
from scripts.cli.operator_word import audited, tell
from scripts.cli.screen import AsJson, show_json, show_table
from scripts.cli.since import WAYS, clock, since_ms
from sinks.ledger import Chosen, Ledger
from streams.cost.repricing import Pricing, Repriced, RepricedSum, agreed_prices, reprice, summed

app = command_app()

_AT_ONCE_MS = 6 * 3_600_000
"""So much of history is held in memory."""
_HEADINGS = ("tenant", "model", "calls", "newly priced", "before USD", "after USD", "difference USD")


@app.command(name="reprice", epilog="Example: millrace reprice --from 2026-11-01 --to 2026-12-01 --dry-run")
def reprice_history(
    start: Annotated[str, typer.Option("--from", help=f"Calls made from then on: {WAYS}.")],
    end: Annotated[str | None, typer.Option("--to", help="Calls made before then. (default: now)")] = None,
    tenant: Annotated[list[str] | None, typer.Option(help="Only this tenant's. Repeatable. (default: all)")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Only calls to this model, as the provider names it. Repeatable.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    as_json: AsJson = False,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Price history again by the prices that are known now for then.

    Each call is priced as of when it was made. No call row is changed: where the amount is another one, the difference
    is written beside it under the new price version; running it again writes nothing. What a provider's record has
    changed stays as it is.
    """
    now_ms = time_ns() // 1_000_000
    start_ms, end_ms = since_ms(start, now_ms), now_ms if end is None else since_ms(end, now_ms)
    if end_ms <= start_ms:
        raise Fault("--from must be before --to")
    cluster = reach(bootstrap_servers)
    chosen = Chosen(start_ms, end_ms, tenants=tuple(tenant or ()), models=tuple(model or ()))
    pricing = agreed_prices(read_control(cluster).view)
    with clickhouse() as (connection, settings):
        ledger = Ledger(connection, settings.database)
        refuse_what_is_gone(ledger, start_ms, 0, "no sum would have what is added to them")
        lines = summed(_repriced(ledger, chosen, pricing, str(uuid_utils.uuid7()), dry_run=dry_run))
    changed = sum(line.changed for line in lines)
    if changed and not dry_run:
        span = f"calls from {clock(start_ms)} to {clock(end_ms)} UTC"
        whose = "+".join(chosen.tenants) or "all"
        detail = {
            "adjustments": str(changed),
            "difference_usd": f"{_difference(lines):f}",
            "models": ", ".join(chosen.models),
        }
        tell(cluster, audited("repriced", f"tenant/{whose}", reason=span, detail=detail))
    if as_json:
        written = 0 if dry_run else changed
        show_json({"lines": list(map(_shown, lines)), "written": written, "difference_usd": f"{_difference(lines):f}"})
        return
    if lines:
        rows = [tuple(_shown(line).values()) for line in lines]
        show_table(_HEADINGS, rows, right=_HEADINGS[2:])
    verb = "would be written" if dry_run else "written"
    print(f"{changed} adjustments {verb}, {_difference(lines):f} USD in all")


def _repriced(ledger: Ledger, chosen: Chosen, pricing: Pricing, run_id: str, *, dry_run: bool) -> Iterator[Repriced]:
    """Stored, part by part, before it is told."""
    for part in ledger.parts(chosen, _AT_ONCE_MS):
        found = [made for call in part if (made := reprice(call, pricing, run_id))]
        if not dry_run:
            ledger.add([each.adjustment for each in found])
        yield from found


def _difference(lines: list[RepricedSum]) -> Decimal:
    return sum((line.difference_usd for line in lines), Decimal("0e-9"))


def _shown(line: RepricedSum) -> dict[str, object]:
    """Money as text, to the last digit."""
    return {
        **{name: f"{value:f}" if isinstance(value, Decimal) else value for name, value in asdict(line).items()},
        "difference_usd": f"{line.difference_usd:f}",
    }
