"""What a report of some days is made of: costs, waste, savings, errors, latencies, and what is not certain yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sinks.amounts import AMOUNTS
from sinks.connection import Connection

_SPAN = """
WHERE produced_at >= fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC')
    AND produced_at < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
"""
_DAYS = "SELECT toDate(produced_at) AS day, model, sum(cost) AS usd FROM {amounts} {span} GROUP BY day, model"
_TOP = """
SELECT toString({{dimension:Identifier}}) AS name, countIf(is_request), sum(cost) AS usd
FROM {amounts} {span}
GROUP BY name ORDER BY usd DESC NULLS LAST, name LIMIT 10
"""
_WASTE = """
SELECT
    ifNull(error_class, 'answered by another attempt') AS name, count(), sum(adjusted_usd) AS usd
FROM {{database:Identifier}}.calls_adjusted {span}
    AND attempt_no > 0 AND phase != 'started' AND NOT (is_final AND ifNull(status, '') = 'ok')
GROUP BY name ORDER BY usd DESC NULLS LAST, 2 DESC, name
"""
_SAVED = """
SELECT toString(cache) AS name, count(), sum(saved_usd) FROM {{database:Identifier}}.call_rows FINAL {span}
    AND is_final AND cache != 'none'
GROUP BY name ORDER BY 3 DESC NULLS LAST, name
"""
_QUALITY = """
SELECT
    toDate(produced_at) AS day, countIf(is_final), countIf(is_final AND request_status != 'ok'),
    quantileExactIf(0.95)(ifNull(total_ms, 0), is_final AND request_status = 'ok')
FROM {{database:Identifier}}.call_rows FINAL {span}
GROUP BY day ORDER BY day
"""
_UNCERTAIN = """
SELECT reason AS name, count(), sum(amount_usd)
FROM {{database:Identifier}}.unreconciled {span} AND reason IN ('unpriced', 'estimated', 'unknown_billable')
GROUP BY name ORDER BY name
"""
_SUM = "SELECT 'total', countIf(is_request), sum(cost) FROM {amounts} {span}"


@dataclass(frozen=True, slots=True)
class Amount:
    """`usd` is None where nothing of it is known."""

    name: str
    count: int
    usd: Decimal | None


@dataclass(frozen=True, slots=True)
class DayQuality:
    """`failed`: requests that ended otherwise than answered. `p95_ms`: of those answered, from end to end."""

    day: date
    requests: int
    failed: int
    p95_ms: int


@dataclass(frozen=True, slots=True)
class Figures:
    """`days`: day, model and USD. `uncertain`: calls whose cost is a guess or not known, and nothing learned since."""

    total: Amount
    before: Amount
    days: tuple[tuple[date, str, Decimal], ...]
    features: tuple[Amount, ...]
    tenants: tuple[Amount, ...]
    waste: tuple[Amount, ...]
    saved: tuple[Amount, ...]
    quality: tuple[DayQuality, ...]
    uncertain: tuple[Amount, ...]


def figures(connection: Connection, database: str, start: datetime, end: datetime) -> Figures:
    """Of requests produced from `start` until before `end`; `before` is as long a time before it. Adjustments are in
    all amounts. Raises the driver's ClickHouseError.
    """

    def rows(statement: str, since: datetime = start, until: datetime = end, **more: str) -> Sequence[Sequence[Any]]:
        span = {"start_ms": int(since.timestamp() * 1_000), "end_ms": int(until.timestamp() * 1_000)}
        text = statement.format(amounts=AMOUNTS, span=_SPAN)
        return connection.query(text, parameters={"database": database, **span, **more}).result_rows

    def amounts(found: Sequence[Sequence[Any]]) -> tuple[Amount, ...]:
        return tuple(Amount(name or "", int(count), usd) for name, count, usd in found)

    return Figures(
        total=amounts(rows(_SUM))[0],
        before=amounts(rows(_SUM, start - (end - start), start))[0],
        days=tuple((day, model, usd) for day, model, usd in rows(_DAYS) if usd),
        features=amounts(rows(_TOP, dimension="feature")),
        tenants=amounts(rows(_TOP, dimension="tenant_id")),
        waste=amounts(rows(_WASTE)),
        saved=amounts(rows(_SAVED)),
        quality=tuple(DayQuality(day, int(n), int(failed), int(p95)) for day, n, failed, p95 in rows(_QUALITY)),
        uncertain=amounts(rows(_UNCERTAIN)),
    )
