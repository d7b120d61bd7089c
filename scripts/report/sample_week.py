"""A week of calls that never were, the same each time: what pictures in the documents show."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from msgspec.structs import replace

from schemas.attempt import ErrorClass
from schemas.call import CallRow
from schemas.response import CacheKind
from schemas.usage import Cost, Usage
from streams.cost.ledger import FREE, UNKNOWN
from streams.cost.price import price
from streams.cost.usage import ProviderName

MONDAY_MS = 1_794_787_200_000
"""2026-11-16 00:00 UTC."""
_DAY_MS = 86_400_000
_REQUESTS = 4_000
_LOST, _REFUSED, _HIT, _SAME = 0.01, 0.04, 0.15, 0.05
_BUSY = (1.0, 1.1, 1.25, 1.1, 0.9, 0.3, 0.25)


@dataclass(frozen=True, slots=True)
class _Use:
    tenant: str
    feature: str
    team: str
    provider: ProviderName
    model: str
    input_tokens: int
    output_tokens: int
    weight: int


_USES = (
    _Use("acme", "support_reply", "care", "openai", "gpt-4o-mini", 420, 160, 40),
    _Use("acme", "ticket_triage", "care", "openai", "gpt-4.1-mini", 310, 12, 25),
    _Use("globex", "code_review", "platform", "anthropic", "claude-sonnet-4-5", 1_900, 420, 12),
    _Use("globex", "contract_summary", "legal", "anthropic", "claude-haiku-4-5", 5_200, 300, 8),
    _Use("initech", "data_extraction", "ops", "openai", "gpt-4.1", 900, 80, 10),
    _Use("initech", "product_copy", "growth", "anthropic", "claude-haiku-4-5", 260, 340, 5),
)


def sample_week(seed: int = 7) -> Iterator[CallRow]:
    """In no order of time. A hundredth of the calls was lost, and of what they cost nobody knows."""
    dice = Random(seed)  # noqa: S311  # nothing secret
    weights = [use.weight for use in _USES]
    for number in range(_REQUESTS):
        (use,), (day,) = dice.choices(_USES, weights), dice.choices(range(7), _BUSY)
        at_ms = MONDAY_MS + day * _DAY_MS + min(max(int(dice.gauss(13, 4) * 3_600_000), 0), _DAY_MS - 1)
        used = Usage(
            uncached_input_tokens=max(int(dice.gauss(use.input_tokens, use.input_tokens / 5)), 1),
            text_output_tokens=max(int(dice.lognormvariate(0, 0.5) * use.output_tokens), 1),
        )
        cost = price(use.provider, use.model, used, at_ms)
        took_ms = int(dice.lognormvariate(6.8, 0.5))
        answered = _row(number, 1, use, at_ms, used, cost, took_ms)
        luck = dice.random()
        if luck < _LOST:
            yield _failed(answered, UNKNOWN, "timeout")
            yield replace(answered, attempt_id=f"{number:05}-2", attempt_no=2, total_ms=took_ms + 3_000)
        elif luck < _LOST + _REFUSED:
            yield _failed(answered, FREE, "rate_limited")
            yield replace(answered, attempt_id=f"{number:05}-2", attempt_no=2, total_ms=took_ms + 900)
        elif luck < _LOST + _REFUSED + _HIT + _SAME:
            kind: CacheKind = "exact" if luck < _LOST + _REFUSED + _HIT else "coalesced"
            yield replace(
                answered, attempt_no=0, cache=kind, cost=FREE, saved_usd=cost.total_usd, usage=Usage(), total_ms=8
            )
        else:
            yield answered


def _failed(row: CallRow, cost: Cost, error: ErrorClass) -> CallRow:
    return replace(
        row, cost=cost, usage=Usage(), error_class=error, is_final=False, request_status=None, provider_request_id=None
    )


def _row(number: int, attempt_no: int, use: _Use, at_ms: int, used: Usage, cost: Cost, took_ms: int) -> CallRow:
    return CallRow(
        phase="priced",
        request_id=f"request-{number:05}",
        root_request_id=f"request-{number:05}",
        attempt_id=f"{number:05}-{attempt_no}",
        attempt_no=attempt_no,
        origin_topic="llm.requests",
        origin_partition=0,
        origin_offset=number,
        provider_request_id=f"req-{number:05}",
        tenant_id=use.tenant,
        user_id=f"user-{number % 17}",
        feature=use.feature,
        labels={"feature": use.feature, "team": use.team},
        model_requested="auto",
        model_used=use.model,
        provider=use.provider,
        deployment=f"{use.provider}-main",
        route="default",
        priority="normal",
        config_version=7,
        usage=used,
        usage_source="provider",
        cost=cost,
        produced_at_ms=at_ms,
        started_at_ms=at_ms + 30,
        completed_at_ms=at_ms + 30 + took_ms,
        queue_ms=30,
        provider_ms=took_ms,
        total_ms=took_ms + 40,
        request_status="ok",
        is_final=True,
        http_status=200,
        finish_reason="stop",
    )


def billed(rows: list[CallRow]) -> list[dict[str, str | None]]:
    """What the provider's export of that week would say: a lost call cost as much as the one that answered, half of
    the time.
    """
    priced = {row.request_id: row for row in rows if row.is_final}
    lines: list[dict[str, str | None]] = []
    for row in rows:
        answered = priced[row.request_id]
        is_lost = row.cost.status == "unknown_billable"
        usd = answered.cost.total_usd if is_lost and row.origin_offset % 2 else row.cost.total_usd or Decimal(0)
        if usd and row.provider == "openai":
            lines.append(
                {
                    "time": f"{(row.completed_at_ms or 0) / 1_000:.3f}",
                    "provider": row.provider,
                    "model": row.model_used,
                    "request_id": None if is_lost else row.provider_request_id,
                    "client_request_id": row.attempt_id,
                    "cost_usd": f"{usd:f}",
                }
            )
    return lines
