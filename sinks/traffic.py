"""What was asked lately: how many requests, how many of them the cache answered, and of a sample of calls what they
used and how long they took.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
    "SELECT tenant_id, coalesce(price_as, provider), coalesce(model_used, model_requested), model_sent,"
    f" ifNull(deployment, ''), ifNull(provider_ms, 0), service_tier, {', '.join(_TOKENS)}"
    + _CHOSEN
    + "AND attempt_no > 0 AND provider IS NOT NULL"
    + " AND usage_source != 'none'"
    + " ORDER BY cityHash64(attempt_id) LIMIT {limit:UInt32}"
)
SAMPLE = 20_000
"""Calls, chosen by a hash of their id: their mean is that of all of them to a percent or two."""


@dataclass(frozen=True, slots=True)
class SampledCall:
    """`price_as` is whose prices it was booked by; `models` are its names, the one that was reported first."""

    tenant_id: str
    price_as: str
    models: tuple[str, ...]
    deployment: str
    took_ms: int
    service_tier: str | None
    usage: Usage


@dataclass(frozen=True, slots=True)
class Traffic:
    """`first_ms`: when the first of the requests was produced, None for none."""

    requests: int
    from_cache: int
    first_ms: int | None
    calls: tuple[SampledCall, ...]


def traffic(connection: Connection, database: str, since_ms: int, tenants: tuple[str, ...] = ()) -> Traffic:
    """Answered requests that were produced since then. Raises the driver's ClickHouseError."""
    parameters = {"database": database, "since_ms": since_ms, "tenants": list(tenants), "limit": SAMPLE}
    ((requests, from_cache, first_ms),) = connection.query(_COUNTS, parameters=parameters).result_rows
    rows = connection.query(_SAMPLE, parameters=parameters).result_rows
    return Traffic(int(requests), int(from_cache), int(first_ms) if requests else None, tuple(map(_sampled, rows)))


def _sampled(row: Sequence[Any]) -> SampledCall:
    tenant_id, price_as, model, sent, deployment, took_ms, tier, *counts = row
    return SampledCall(
        tenant_id=tenant_id,
        price_as=price_as,
        models=(model,) if sent in {None, model} else (model, sent),
        deployment=deployment,
        took_ms=int(took_ms),
        service_tier=tier,
        usage=Usage(**dict(zip(_TOKENS, map(int, counts), strict=True))),
    )
