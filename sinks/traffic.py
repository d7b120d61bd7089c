"""What was asked lately: how many requests, how many of them the cache answered, and a sample of what calls used."""

from dataclasses import dataclass

from msgspec.structs import fields

from schemas.usage import Usage
from sinks.connection import Connection

_TOKENS = tuple(field.name for field in fields(Usage))
_CHOSEN = """
FROM {database:Identifier}.call_rows FINAL
WHERE produced_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
    AND is_final AND request_status = 'ok'
    AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, tenant_id))
"""
_COUNTS = "SELECT count(), countIf(attempt_no = 0), toUnixTimestamp64Milli(min(produced_at))" + _CHOSEN
_SAMPLE = (
    f"SELECT provider, coalesce(model_used, model_requested), {', '.join(_TOKENS)}"
    + _CHOSEN
    + "AND attempt_no > 0 AND provider IS NOT NULL"
    + " AND uncached_input_tokens + cache_read_tokens + text_output_tokens > 0"
    + " ORDER BY cityHash64(attempt_id) LIMIT {limit:UInt32}"
)
SAMPLE = 20_000
"""Calls, chosen by a hash of their id: their mean is that of all of them to a percent or two."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """`calls`: provider, model and usage. `first_ms`: when the first of the requests was produced, None for none."""

    requests: int
    from_cache: int
    first_ms: int | None
    calls: tuple[tuple[str, str, Usage], ...]


def traffic(connection: Connection, database: str, since_ms: int, tenants: tuple[str, ...] = ()) -> Traffic:
    """Answered requests that were produced since then. Raises the driver's ClickHouseError."""
    parameters = {"database": database, "since_ms": since_ms, "tenants": list(tenants), "limit": SAMPLE}
    ((requests, from_cache, first_ms),) = connection.query(_COUNTS, parameters=parameters).result_rows
    rows = connection.query(_SAMPLE, parameters=parameters).result_rows
    calls = ((row[0], row[1], Usage(**dict(zip(_TOKENS, map(int, row[2:]), strict=True)))) for row in rows)
    return Traffic(int(requests), int(from_cache), int(first_ms) if requests else None, tuple(calls))
