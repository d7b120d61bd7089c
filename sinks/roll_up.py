"""Rolls up the days whose rows have changed, so that the views need not add them up for every question.

May run at any time, any number of times and in several processes, and be broken off anywhere: a tenant's day is
replaced as a whole, and never by what was computed from less. Sums are kept longer than rows: once a day's first rows
may be gone, its sums stay as they are.
"""

from collections.abc import Iterator, Sequence
from datetime import date

from sinks.connection import Connection

TenantDay = tuple[str, date]

_DAYS_AT_ONCE = 50
"""Bounds the memory and the time of one statement, and the length of the address that names them."""
_STALE = "SELECT tenant_id, day FROM {database:Identifier}.stale_days ORDER BY day, tenant_id"
_SECTIONS = ("spending", "labels", "outcomes", "latency", "minutes")
# The days are named, and not asked for again in each part: it must be the same ones in all of them.
_CHOSEN = "(tenant_id, day) IN {days:Array(Tuple(String, Date))}"
_COLUMNS = """
SELECT name FROM system.columns
WHERE database = {database:String} AND table = {view:String} AND name NOT IN ('tenant_id', 'day')
ORDER BY position
"""
_KNOWLEDGE = f"""
SELECT tenant_id, day, sum(known) AS knowledge FROM
(
    SELECT tenant_id, toDate(produced_at) AS day, toUInt64(phase_version) AS known
    FROM {{database:Identifier}}.call_rows FINAL
    UNION ALL
    SELECT tenant_id, toDate(produced_at) AS day, toUInt64(1) AS known FROM {{database:Identifier}}.adjustments FINAL
)
WHERE {_CHOSEN}
GROUP BY tenant_id, day
"""  # noqa: S608 - our own text; what is asked for is bound


def roll_up(connection: Connection, database: str) -> int:
    """How many tenants' days were rolled up: all that were stale. Raises the driver's ClickHouseError."""
    stale = [(str(tenant), day) for tenant, day in connection.query(_STALE, {"database": database}).result_rows]
    if stale:
        statement = _statement(connection, database)
        for days in _portions(stale):
            connection.command(statement, {"database": database, "days": days})
    return len(stale)


def _portions(days: Sequence[TenantDay]) -> Iterator[list[TenantDay]]:
    for start in range(0, len(days), _DAYS_AT_ONCE):
        yield list(days[start : start + _DAYS_AT_ONCE])


def _statement(connection: Connection, database: str) -> str:
    parts = "".join(
        f"LEFT JOIN ({_packed(connection, database, name)}) AS {name} USING (tenant_id, day)\n" for name in _SECTIONS
    )
    # A tuple, so that a NULL keeps its place: groupArray passes over those.
    names, packed = ", ".join(_SECTIONS), ", ".join(f"{name}.packed" for name in _SECTIONS)
    return (
        f"INSERT INTO {{database:Identifier}}.call_days (tenant_id, day, knowledge, rolled_up_at, {names})\n"
        f"SELECT tenant_id, day, knowledge, now64(3), {packed} FROM ({_KNOWLEDGE}) AS known\n{parts}"
    )


def _packed(connection: Connection, database: str, section: str) -> str:
    view = f"{section}_of_rows"
    columns = connection.query(_COLUMNS, {"database": database, "view": view}).result_rows
    names = ", ".join(str(name) for (name,) in columns)
    return (
        f"SELECT tenant_id, day, groupArray(({names})) AS packed FROM {{database:Identifier}}.{view} "  # noqa: S608 - our names
        f"WHERE {_CHOSEN} GROUP BY tenant_id, day"
    )
