"""`millrace costs`: what the calls cost, by one dimension."""

import csv
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from time import time_ns
from typing import Annotated

import typer

from scripts.cli.clickhouse import clickhouse
from scripts.cli.command_group import command_app
from scripts.cli.fault import Fault
from scripts.cli.screen import AsJson, show_json, show_table
from scripts.cli.since import WAYS, since_ms
from scripts.cli.sparkline import sparkline
from sinks.queries import DIMENSIONS, LABEL, CostLine, Filters
from sinks.queries import costs as cost_lines

app = command_app()

MOST_LINES = 1_000
_NUMBERS = ("requests", "attempts", "input tokens", "output tokens", "cost USD", "share", "saved USD", "cost unknown")
_COURSE = "course"


def _dimension(by: str) -> str:
    if by in DIMENSIONS or by.removeprefix(LABEL) not in ("", by):
        return by
    raise typer.BadParameter(f"{by!r} is not one of {', '.join(map(repr, DIMENSIONS))}, or 'label:NAME'")


@app.command(epilog="Example: millrace costs --by label:team --tenant acme --since 7d")
def costs(
    by: Annotated[
        str, typer.Option(callback=_dimension, help=f"What a line stands for: {', '.join(DIMENSIONS)}, label:NAME.")
    ] = "tenant",
    since: Annotated[str, typer.Option(help=f"Requests produced since then: {WAYS}.")] = "24h",
    until: Annotated[str | None, typer.Option(help="Requests produced before then. (default: now)")] = None,
    tenant: Annotated[list[str] | None, typer.Option(help="Only this tenant's. Repeatable.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="Only calls to this model. Repeatable.")] = None,
    feature: Annotated[list[str] | None, typer.Option(help="Only this feature's. Repeatable.")] = None,
    user: Annotated[list[str] | None, typer.Option(help="Only this user's. Repeatable.")] = None,
    label: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Only with it. Repeatable.")] = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
) -> None:
    """Show what the calls cost, from ClickHouse.

    Adjustments that were made later are in the sums. A cost that nobody knows is never counted as 0: "cost unknown" is
    how many calls the sum leaves out. The course is by hour for up to two days, by day for longer.
    """
    now_ms = time_ns() // 1_000_000
    start, end = (_utc(since_ms(text, now_ms)) for text in (since, until or "0s"))
    filters = Filters(
        tuple(tenant or ()), tuple(model or ()), tuple(feature or ()), tuple(user or ()), _labels(label or [])
    )
    with clickhouse() as (connection, settings):
        lines = cost_lines(
            connection,
            settings.database,
            by,
            start,
            until=end if until else None,
            filters=filters,
            limit=MOST_LINES,
        )
    if as_json:
        show_json({"by": by, "since": start, "lines": list(map(shown, lines)), "total": shown(total(lines))})
        return
    if as_csv:
        show_csv(by, lines)
        return
    if not lines:
        print(f"no calls since {start:%Y-%m-%d %H:%M} UTC")
        return
    show_table((by, _COURSE, *_NUMBERS), table_rows(lines), right=_NUMBERS)
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
        course=tuple(sum(slot, Decimal(0)) for slot in zip(*(each.course for each in listed), strict=True)),
    )


def table_rows(lines: Sequence[CostLine]) -> list[tuple[str, ...]]:
    """One row a line and a last one with the totals."""
    whole = total(lines)
    return [_row("(none)" if not each.key else each.key, each, whole.cost_usd) for each in lines] + [
        _row("total", whole, whole.cost_usd)
    ]


def shown(line: CostLine) -> dict[str, object]:
    """As JSON: money as text to the last digit, so that nobody's parser makes a float of it."""
    plain = {name: format(value, "f") if isinstance(value, Decimal) else value for name, value in asdict(line).items()}
    return {**plain, "course": [format(usd, "f") for usd in line.course]}


def show_csv(by: str, lines: Iterable[CostLine]) -> None:
    names = ("requests", "attempts", "input_tokens", "output_tokens", "cost_usd", "saved_usd", "cost_unknown")
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow((by, *names))
    for each in map(shown, lines):
        writer.writerow((each["key"], *(each[name] for name in names)))


def _row(title: str, line: CostLine, whole_usd: Decimal | None) -> tuple[str, ...]:
    counts = (line.requests, line.attempts, line.input_tokens, line.output_tokens)
    share = "-" if not whole_usd or line.cost_usd is None else f"{line.cost_usd / whole_usd:.1%}"
    money = (_money(line.cost_usd), share, _money(line.saved_usd))
    return (title, sparkline(line.course), *map(str, counts), *money, str(line.cost_unknown))


def _labels(given: Sequence[str]) -> tuple[tuple[str, str], ...]:
    pairs = [text.partition("=") for text in given]
    for name, sign, _ in pairs:
        if not sign or not name:
            raise Fault(f"--label {name}: write it as NAME=VALUE")
    return tuple((name, value) for name, _, value in pairs)


def _utc(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1_000, UTC)


def _money(amount: Decimal | None) -> str:
    return "-" if amount is None else f"{amount:.6f}"


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Decimal(0)) if known else None
