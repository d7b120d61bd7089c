"""`millrace tables`: the numbered DDL files, applied to a ClickHouse and as it has them."""

from collections.abc import Mapping

import typer

from scripts.cli.clickhouse import clickhouse
from scripts.cli.command_group import command_app
from scripts.cli.fault import Fault
from scripts.cli.screen import AsJson, show_json, show_table
from sinks.connection import Connection
from sinks.migrate import MigrationChanged, migrate, migrations, pending

app = command_app("Create the tables and views in ClickHouse, and show which are there.")

_APPLIED = "SELECT name, checksum FROM {database:Identifier}.schema_migrations FINAL"


@app.command(epilog="Example: millrace tables apply")
def apply() -> None:
    """Apply every migration that is pending, each once, and the retention."""
    with clickhouse() as (connection, settings):
        try:
            names = migrate(connection, settings.database, settings.retention_days, settings.sums_retention_days)
        except MigrationChanged as error:
            raise Fault(str(error)) from error
    for name in names:
        print(f"applied {name}")
    print(f"{len(names)} applied, {len(migrations()) - len(names)} were there")


@app.command(epilog="Example: millrace tables show --json")
def show(as_json: AsJson = False) -> None:
    """Show which migrations are applied. Exit status 1 when some are not."""
    with clickhouse() as (connection, settings):
        there = applied(connection, settings.database)
    try:
        missing = {each.name for each in pending(migrations(), there)}
    except MigrationChanged as error:
        raise Fault(str(error)) from error
    state = {each.name: "pending" if each.name in missing else "applied" for each in migrations()}
    if as_json:
        show_json(state)
    else:
        show_table(("migration", "state"), state.items())
    if missing:
        raise typer.Exit(1)


def applied(connection: Connection, database: str) -> Mapping[str, str]:
    """Checksums of the migrations that were applied, by name. Raises the driver's ClickHouseError."""
    if not connection.command(f"EXISTS TABLE {database}.schema_migrations"):
        return {}
    rows = connection.query(_APPLIED, parameters={"database": database}).result_rows
    return {str(name): str(checksum) for name, checksum in rows}
