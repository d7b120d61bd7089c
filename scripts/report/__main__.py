"""`python -m scripts.report`: makes the pictures of docs/pictures again, from a week that never was."""

import csv
import io
import re
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text
from typer.testing import CliRunner

from scripts.cli.app import app
from scripts.report.sample_week import billed, sample_week
from sinks.clickhouse import ClickHouseSink
from sinks.connection import connect
from sinks.embedded.process import start_embedded_clickhouse
from sinks.migrate import migrate
from sinks.settings import ClickHouseSettings

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
_WEEK = ("--since", "2026-11-16", "--until", "2026-11-23")
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "costs": ("costs", "--by", "label:team", *_WEEK),
    "estimate": ("estimate", "--since", "2026-11-16", "--model", "gpt-4o-mini=0.8", "--model", "claude-haiku-4-5=0.2",
                 "--cache-rate", "0.3", "--requests", "1000000", "--list-prices"),
    "reconcile": ("reconcile", "--usage", "november.csv", "--from", "2026-11-16", "--to", "2026-11-23", "--dry-run"),
}  # fmt: skip
# rich asks for a font of somebody else's host; a picture in a document asks nobody
_FORMAT = re.sub(
    r"@font-face \{\{.*?\}\}|<!--.*?-->", "", CONSOLE_SVG_FORMAT.replace("Fira Code", "ui-monospace"), flags=re.DOTALL
)


def pictures(
    folder: Annotated[Path, typer.Argument(help="Where to write them.")] = PICTURES,
) -> None:
    """Run the commands on a made-up week and write what they show: SVG of tables, HTML of the report."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = list(sample_week())
    with tempfile.TemporaryDirectory() as scratch, start_embedded_clickhouse(Path(scratch) / "store") as engine:
        settings = ClickHouseSettings(host=engine.host, port=engine.port)
        with closing(connect(settings)) as connection:
            migrate(connection, settings.database, settings.retention_days)
        with closing(ClickHouseSink(settings)) as sink:
            sink.write(rows)
        export = Path(scratch) / "november.csv"
        with export.open("w", newline="", encoding="utf-8") as file:
            lines = billed(rows)
            writer = csv.DictWriter(file, list(lines[0]))
            writer.writeheader()
            writer.writerows(lines)
        environment = {"MILLRACE_CLICKHOUSE_HOST": settings.host, "MILLRACE_CLICKHOUSE_PORT": str(settings.port)}
        for name, words in COMMANDS.items():
            told = [str(export) if word == export.name else word for word in words]
            shown = CliRunner().invoke(app, told, env=environment)
            picture(folder / f"{name}.svg", f"millrace {' '.join(words)}", shown.stdout)
        page = folder / "report.html"
        made = CliRunner().invoke(app, ["report", "--week", "2026-W47", "--out", str(page)], env=environment)
        print(made.output.strip())


def picture(file: Path, command: str, output: str) -> None:
    """A terminal that shows the command and what it printed."""
    width = max(map(len, (command, *output.splitlines()))) + 2
    console = Console(record=True, width=width, file=io.StringIO())
    console.print(Text(f"$ {command}\n", style="bold"))
    console.print(Text(output.rstrip()))
    console.save_svg(str(file), title="millrace", code_format=_FORMAT, unique_id=file.stem)
    print(file)


if __name__ == "__main__":
    sys.exit(typer.run(pictures))
