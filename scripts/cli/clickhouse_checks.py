"""What `millrace doctor` finds in ClickHouse: that it answers, holds the tables of this release, and tells the time."""

from collections.abc import Iterator, Mapping
from time import time_ns

from scripts.cli.check import Check
from scripts.cli.clickhouse import clickhouse
from scripts.cli.clock_skew import against
from scripts.cli.tables import applied
from sinks.migrate import MigrationChanged, migrations, pending


def clickhouse_checks() -> Iterator[Check]:
    """Raises Fault when it does not answer."""
    with clickhouse() as (connection, settings):
        yield Check("ClickHouse", f"{settings.host}:{settings.port} answers")
        yield schema(applied(connection, settings.database))
        before_ms = _now_ms()
        theirs = connection.command("SELECT toUnixTimestamp64Milli(now64(3))")
        yield against("ClickHouse", int(str(theirs)), before_ms, _now_ms())


def schema(there: Mapping[str, str]) -> Check:
    try:
        missing = [each.name for each in pending(migrations(), there)]
    except MigrationChanged as error:
        return Check("tables", "differ from this release", str(error))
    if missing:
        return Check("tables", f"not applied: {', '.join(missing)}", "run: millrace tables apply")
    return Check("tables", f"all {len(migrations())} migrations are applied")


def _now_ms() -> int:
    return time_ns() // 1_000_000
