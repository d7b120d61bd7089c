"""`millrace report`: a week as one HTML file."""

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from scripts.cli.clickhouse import clickhouse
from scripts.cli.command_group import command_app
from scripts.cli.fault import Fault
from scripts.report.page import page
from sinks.weekly import figures

app = command_app()

_WEEK = re.compile(r"(\d{4})-W(\d{2})")


@app.command(epilog="Example: millrace report --week 2026-W48 --out report.html")
def report(
    week: Annotated[
        str | None, typer.Option(help="The ISO week, such as 2026-W48. (default: the last that is over)")
    ] = None,
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("report.html"),
) -> None:
    """Write a week's costs, waste, errors and latencies as one HTML file.

    It needs nothing beside it and asks nobody anything when it is opened. Days are UTC.
    """
    now = datetime.now(UTC)
    start = monday(week, now.date())
    end = start + timedelta(days=7)
    year, number, _ = start.isocalendar()
    with clickhouse() as (connection, settings):
        found = figures(connection, settings.database, start, end)
    title = f"What calls cost in week {number} of {year}"
    try:
        out.write_text(page(title, start, end, found, now), encoding="utf-8")
    except OSError as error:
        raise Fault(f"--out {out} cannot be written: {error.strerror}") from error
    print(f"{out}: {start:%Y-%m-%d} to {end - timedelta(days=1):%Y-%m-%d}, {found.total.count} requests")


def monday(week: str | None, today: date) -> datetime:
    """Where the week begins, UTC; None is the last one that is over. Raises Fault."""
    if week is None:
        day = today - timedelta(days=today.weekday() + 7)
    else:
        said = _WEEK.fullmatch(week)
        try:
            day = date.fromisocalendar(int(said[1]), int(said[2]), 1) if said else None
        except ValueError:
            day = None
        if day is None:
            raise Fault(f"--week {week} is no week; write it as 2026-W48")
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
