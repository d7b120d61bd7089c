"""`millrace doctor`: everything that has to be right before requests can flow, and what to do where it is not."""

from collections.abc import Iterator

import typer

from scripts.cli.check import Check
from scripts.cli.clickhouse_checks import clickhouse_checks
from scripts.cli.command_group import command_app
from scripts.cli.fault import sentence_of
from scripts.cli.kafka import BootstrapServers
from scripts.cli.kafka_checks import kafka_checks
from scripts.cli.screen import AsJson, show_json, show_table

app = command_app()


@app.command(epilog="Example: millrace doctor --json")
def doctor(as_json: AsJson = False, bootstrap_servers: BootstrapServers = None) -> None:
    """Check Kafka, ClickHouse, the configuration, keys, lag and clocks, and say what to do.

    Exit status 1 when there is a problem. Keys are looked for where this process would find them, and never shown.
    """
    checks = [*looked_at("Kafka", kafka_checks(bootstrap_servers)), *looked_at("ClickHouse", clickhouse_checks())]
    if as_json:
        show_json([{"name": c.name, "ok": c.is_sound, "found": c.found, "todo": c.todo} for c in checks])
    else:
        show_table(
            ("check", "", "found", "what to do"),
            [(each.name, "OK" if each.is_sound else "problem", each.found, each.todo) for each in checks],
        )
    if not all(each.is_sound for each in checks):
        raise typer.Exit(1)


def looked_at(name: str, checks: Iterator[Check]) -> Iterator[Check]:
    """What one part cannot tell is a finding too, and keeps no other part from being looked at."""
    try:
        yield from checks
    except Exception as error:
        sentence = sentence_of(error)
        if sentence is None:
            raise
        yield Check(name, "cannot be looked at", sentence)
