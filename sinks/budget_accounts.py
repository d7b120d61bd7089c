"""Where budgets stand, as analysts see it: a copy of what is on Kafka, whose newest row says it."""

from collections.abc import Mapping, Sequence

from schemas.base import dump_json
from sinks.connection import Connection

COLUMNS = ("tenant_id", "budget", "subject", "period", "spent_usd", "guessed_usd", "limit_usd", "at")


def store_budgets(connection: Connection, database: str, rows: Sequence[Mapping[str, str | int]]) -> None:
    """Rows of COLUMNS: money as text, `at` in ms since 1970, UTC. Raises the driver's ClickHouseError."""
    if rows:
        block = b"\n".join(dump_json({name: row[name] for name in COLUMNS}) for row in rows)
        connection.raw_insert(
            f"{database}.budget_accounts",
            column_names=COLUMNS,
            insert_block=block,
            fmt="JSONEachRow",
            settings={"async_insert": 0, "wait_end_of_query": 1},
        )
