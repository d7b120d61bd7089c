"""`millrace costs`: what the calls cost, by one dimension."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from time import time_ns
from typing import Annotated

import typer

from scripts.cli.clickhouse import clickhouse
from scripts.cli.command_group import command_app
from scripts.cli.screen import AsJson, show_json, show_table
from scripts.cli.since import WAYS, since_ms
from sinks.queries import CostLine, Dimension
from sinks.queries import costs as cost_lines

app = command_app()

MOST_LINES = 1_000
_NUMBERS = ("requests", "attempts", "input tokens", "output tokens", "cost USD", "saved USD", "cost unknown")


@app.command(epilog="Example: millrace costs --by feature --since 24h")
def costs(
    by: Annotated[Dimension, typer.Option(help="What a line stands for.")] = "tenant",
    since: Annotated[str, typer.Option(help=f"Requests produced since then: {WAYS}.")] = "24h",
    as_json: AsJson = False,
) -> None:
    """Show what the calls cost, from ClickHouse.

    A cost that nobody knows is never counted as 0: "cost unknown" is how many calls the sum leaves out.
    """
    start = datetime.fromtimestamp(since_ms(since, time_ns() // 1_000_000) / 1000, UTC)
    with clickhouse() as (connection, settings):
        lines = cost_lines(connection, settings.database, by, start, limit=MOST_LINES)
    if as_json:
        show_json({"by": by, "since": start, "lines": list(map(shown, lines)), "total": shown(total(lines))})
        return
    if not lines:
        print(f"no calls since {start:%Y-%m-%d %H:%M} UTC")
        return
    show_table((by, *_NUMBERS), table_rows(lines), right=_NUMBERS)
    if len(lines) == MOST_LINES:
        print(f"only the {MOST_LINES} dearest are shown and counted")


def total(lines: Iterable[CostLine]) -> CostLine:
    """Adds up what is known; None where nothing is."""
    listed = list(lines)
    return CostLine(
        key=None,
        requests=sum(each.requests for each in listed),
        attempts=sum(each.attempts for each in listed),
        input_tokens=sum(each.input_tokens for each in listed),
        output_tokens=sum(each.output_tokens for each in listed),
        cost_usd=_sum(each.cost_usd for each in listed),
        saved_usd=_sum(each.saved_usd for each in listed),
        cost_unknown=sum(each.cost_unknown for each in listed),
    )


def table_rows(lines: Sequence[CostLine]) -> list[tuple[str, ...]]:
    """One row a line and a last one with the totals."""
    return [_row("(none)" if not each.key else each.key, each) for each in lines] + [_row("total", total(lines))]


def shown(line: CostLine) -> dict[str, object]:
    """As JSON: money as text to the last digit, so that nobody's parser makes a float of it."""
    return {name: format(value, "f") if isinstance(value, Decimal) else value for name, value in asdict(line).items()}


def _row(title: str, line: CostLine) -> tuple[str, ...]:
    counts = (line.requests, line.attempts, line.input_tokens, line.output_tokens)
    return (title, *map(str, counts), _money(line.cost_usd), _money(line.saved_usd), str(line.cost_unknown))


def _money(amount: Decimal | None) -> str:
    return "-" if amount is None else f"{amount:.6f}"


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Decimal(0)) if known else None
