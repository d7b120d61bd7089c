"""Brings a ClickHouse to the tables and views of this release: every file of `ddl/` in order, each applied once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

from sinks.connection import Connection

SUMS_RETENTION_DAYS = 1_830
"""Five years, and what a leap day adds."""
_RECORD = (
    "INSERT INTO {database:Identifier}.schema_migrations (name, checksum) VALUES ({name:String}, {checksum:String})"
)
_RECORDED = "SELECT name, checksum FROM {database:Identifier}.schema_migrations FINAL"


@dataclass(frozen=True, slots=True)
class Migration:
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return sha256(self.text.encode()).hexdigest()

    def statements(self, database: str) -> tuple[str, ...]:
        """Statements end with a semicolon at the end of a line. `{database}` is the only thing that is filled in."""
        parts = self.text.replace("{database}", database).split(";\n")
        return tuple(part.strip() for part in parts if part.strip())


class MigrationChanged(Exception):
    """A file was edited after it had been applied."""


def migrations() -> tuple[Migration, ...]:
    """All of them, in the order of their numbers."""
    found = [entry for entry in files("sinks").joinpath("ddl").iterdir() if entry.name.endswith(".sql")]
    return tuple(Migration(entry.name, entry.read_text("utf-8")) for entry in sorted(found, key=lambda e: e.name))


def pending(available: Sequence[Migration], applied: Mapping[str, str]) -> tuple[Migration, ...]:
    """Those not in `applied` (checksum by name). Raises MigrationChanged.

    Names that are applied but not available belong to a newer release, whose tables an older one can still write to.
    """
    for migration in available:
        if applied.get(migration.name, migration.checksum) != migration.checksum:
            raise MigrationChanged(
                f"{migration.name} was changed after it had been applied; put it back as it was, and write what is to "
                "change as a new file with the next number"
            )
    return tuple(migration for migration in available if migration.name not in applied)


def migrate(
    connection: Connection, database: str, retention_days: int, sums_retention_days: int = SUMS_RETENTION_DAYS
) -> tuple[str, ...]:
    """Applies what is pending, sets how long rows and what was rolled up are kept, and returns the names applied.

    May be run by several processes at once and be broken off anywhere: every statement can be repeated.
    Raises MigrationChanged, and the driver's ClickHouseError.
    """
    applied: dict[str, str] = {}
    if connection.command(f"EXISTS TABLE {database}.schema_migrations"):
        recorded = connection.query(_RECORDED, parameters={"database": database})
        applied = {str(name): str(checksum) for name, checksum in recorded.result_rows}
    due = pending(migrations(), applied)
    for migration in due:
        for statement in migration.statements(database):
            connection.command(statement)
        connection.command(
            _RECORD, parameters={"database": database, "name": migration.name, "checksum": migration.checksum}
        )
    _say_kept(connection, database, retention_days)
    for table, (since, days) in _kept(retention_days, sums_retention_days).items():
        _retain(connection, f"{database}.{table}", since, days)
    return tuple(migration.name for migration in due)


def _kept(rows_days: int, sums_days: int) -> Mapping[str, tuple[str, int]]:
    """Since when, and for how many days. Rows are counted from the request's own time or the row's publication,
    whichever is later: a producer whose clock shows 1970 must not have its costs deleted at once.
    """
    return {
        "call_rows": ("greatest(produced_at, ifNull(published_at, produced_at))", rows_days),
        "adjustments": ("greatest(produced_at, made_at)", rows_days),
        "call_days": ("greatest(toDateTime(day), rolled_up_at)", sums_days),
    }


def _say_kept(connection: Connection, database: str, days: int) -> None:
    """Before the rows are dropped for it: a day is closed before it is no longer whole."""
    said = connection.query("SELECT days FROM {database:Identifier}.rows_kept", {"database": database}).result_rows
    if [int(row[0]) for row in said] != [days]:
        connection.command(
            f"CREATE OR REPLACE VIEW {database}.rows_kept SQL SECURITY INVOKER AS SELECT toUInt32({days}) AS days"
        )


def _retain(connection: Connection, table: str, since: str, days: int) -> None:
    """Only when it differs, as ClickHouse rewrites the parts for it."""
    if f"toIntervalDay({days})" not in str(connection.command(f"SHOW CREATE TABLE {table}")):
        connection.command(f"ALTER TABLE {table} MODIFY TTL {since} + toIntervalDay({days})")
