"""The traffic that an estimate is made for: measured, or from a trace."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from schemas.usage import Usage
from scripts.bench.trace import UnreadableTrace
from scripts.bench.trace import read as read_trace
from scripts.cli.clickhouse import clickhouse
from scripts.cli.fault import Fault
from scripts.cli.since import since_ms
from sinks.traffic import SampledCall, traffic
from streams.cost.agreed import Priceable
from streams.cost.outlook import DAYS_A_MONTH, Call

_DAY_MS = 86_400_000
_TOKENS_A_SECOND = 50
"""A trace does not say how long its calls took, which matters to a machine that is paid by the second."""


@dataclass(frozen=True, slots=True)
class Basis:
    """`told` says in words where it comes from."""

    told: str
    calls: Sequence[Call]
    requests_a_month: Decimal
    cache_rate: Decimal


def measured(since: str, tenants: tuple[str, ...], now_ms: int) -> Basis:
    with clickhouse() as (connection, settings):
        found = traffic(connection, settings.database, since_ms(since, now_ms), tenants)
    if found.first_ms is None or not found.calls:
        raise Fault(f"no call was answered since {since}: look further back with --since, or give a --trace")
    # history that is younger than the period says nothing of the days before it
    days = Decimal(max(now_ms - found.first_ms, 60_000)) / _DAY_MS
    told = f"measured: {found.requests} answered requests in {days:.2f} days"
    calls = [_as_now(call, now_ms) for call in found.calls]
    return Basis(told, calls, found.requests / days * DAYS_A_MONTH, Decimal(found.from_cache) / found.requests)


def traced(file: Path, tenants: tuple[str, ...], now_ms: int) -> Basis:
    try:
        arrivals = read_trace(file)
    except UnreadableTrace as error:
        raise Fault(f"--trace: {error}") from error
    tenant_id = tenants[0] if len(tenants) == 1 else ""
    calls = [
        (
            Priceable(tenant_id, "", "", ("",), now_ms, each.answer_tokens * 1_000 // _TOKENS_A_SECOND),
            Usage(uncached_input_tokens=each.prompt_tokens, text_output_tokens=each.answer_tokens),
        )
        for each in arrivals
    ]
    days = Decimal(max(arrivals[-1].at_s, 60)) / 86_400
    told = (
        f"{file.name}: {len(arrivals)} requests in {days:.2f} days, assumed to last a second for every "
        f"{_TOKENS_A_SECOND} tokens of the answer"
    )
    return Basis(told, calls, len(arrivals) / days * DAYS_A_MONTH, Decimal(0))


def _as_now(call: SampledCall, now_ms: int) -> Call:
    return Priceable(
        tenant_id=call.tenant_id,
        deployment=call.deployment,
        provider=call.price_as,
        models=call.models,
        at_ms=now_ms,
        duration_ms=call.took_ms,
        service_tier=call.service_tier,
    ), call.usage
