"""`python -m scripts.chaos.verify`: watches a run until SIGTERM, then reads all of it to its end and says whether
anything was violated. Exit status 1 when it was, or when something could not be read.
"""

import logging
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from scripts.chaos.verify.verdict import show
from scripts.chaos.verify.watching import Watching
from sinks.settings import ClickHouseSettings
from streams.settings import KafkaSettings


def verify(
    run_folder: Annotated[Path, typer.Option(help="Of the run: `env`, `bill.jsonl`, `journal.jsonl`, `logs`, …")],
    once: Annotated[bool, typer.Option("--once", help="Do not watch: read what is there, and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON instead of a table.")] = False,
) -> None:
    """Recompute from topics, tables and bill what must be true."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    env = run_folder / "env"
    kafka = KafkaSettings(_env_file=env)  # pyright: ignore[reportCallIssue]  # pydantic's own argument
    clickhouse = ClickHouseSettings(_env_file=env)  # pyright: ignore[reportCallIssue]  # the same
    if once:
        stop.set()
    verdict = Watching(run_folder, kafka, clickhouse).until(stop)
    if as_json:
        print(verdict.encode().decode(), end="")
    else:
        show(verdict)
    if not verdict.is_sound:
        raise typer.Exit(1)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    sys.exit(typer.run(verify))
