"""What the calls cost, by one dimension. Every value that is asked for travels as a bound parameter."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from sinks.connection import Connection

Dimension = Literal["tenant", "feature", "model", "user", "day"]

_COLUMNS: dict[Dimension, str] = {
    "tenant": "tenant_id",
    "feature": "feature",
    "model": "model",
    "user": "user_id",
    "day": "day",
}

_COSTS = """
SELECT
    toString({dimension:Identifier}) AS key,
    countIf(is_final),
    countIf(attempt_no > 0),
    sum(input_tokens),
    sum(output_tokens),
    sum(cost_usd) AS cost,
    sum(saved_usd),
    countIf(cost_usd IS NULL)
FROM {database:Identifier}.calls
WHERE produced_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
GROUP BY key
ORDER BY cost DESC NULLS LAST, key
LIMIT {limit:UInt32}
"""


@dataclass(frozen=True, slots=True)
class CostLine:
    """`key` is None where the dimension is not known. Money is None where nothing of it is known, never 0 for that;
    `cost_unknown` is how many rows `cost_usd` leaves out.
    """

    key: str | None
    requests: int
    attempts: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None
    saved_usd: Decimal | None
    cost_unknown: int


def costs(
    connection: Connection, database: str, by: Dimension, since: datetime, *, limit: int = 1_000
) -> tuple[CostLine, ...]:
    """Requests produced at or after `since` (which must know its zone), dearest first; days are UTC, newest amounts
    included. Raises the driver's ClickHouseError.
    """
    parameters = {
        "database": database,
        "dimension": _COLUMNS[by],
        "since_ms": int(since.timestamp() * 1000),
        "limit": limit,
    }
    return tuple(CostLine(*row) for row in connection.query(_COSTS, parameters=parameters).result_rows)
