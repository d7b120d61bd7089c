"""What a command shows: tables and sentences for people, JSON for programs. Nothing received is ever obeyed as markup
or as a terminal's control sequence.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer
from pydantic_core import to_json
from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPED_WIDTH = 200
"""Where no terminal sets the width, lines are for grep and not for eyes."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def out() -> Console:
    return _console(stderr=False)


def err() -> Console:
    """For progress and remarks, so that standard output can be piped on."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(
        stderr=stderr, width=None if is_terminal else _PIPED_WIDTH, markup=False, highlight=False, emoji=False
    )


def show_json(value: object) -> None:
    """One line of JSON; dataclasses are objects."""
    print(to_json(value).decode())


def show_table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[str] = ()) -> None:
    """`right`: the headings of columns of numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(visible(str(cell)) for cell in row))
    out().print(table)


def visible(text: str, limit: int | None = None) -> Text:
    """On one line, control characters replaced, cut to `limit` characters."""
    line = "".join(each if each.isprintable() else " " for each in text)
    return Text(line if limit is None or len(line) <= limit else f"{line[: limit - 1]}…")
