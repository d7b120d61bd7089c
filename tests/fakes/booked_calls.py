"""Booked calls and a provider's records of them, to be changed where it matters."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from schemas.adjustment import BookedCall
from schemas.usage import Usage
from streams.cost.usage_export import UsageRecord

STARTED_AT_MS = 1_795_000_000_000


def booked_call(number: int = 1, usd: str | None = "0.001", **changes: Any) -> BookedCall:
    call = BookedCall(
        tenant_id="acme",
        request_id=f"request-{number}",
        attempt_id=f"attempt-{number}",
        provider_request_id=f"req-{number}",
        produced_at_ms=STARTED_AT_MS + number - 30,
        started_at_ms=STARTED_AT_MS + number,
        provider_ms=800,
        user_id="ada",
        feature="search",
        labels={"team": "growth"},
        model_requested="fast",
        model_used="gpt-4o-mini",
        provider="openai",
        deployment="openai-main",
        service_tier=None,
        model_sent=None,
        price_as=None,
        is_open=False,
        usage=Usage(uncached_input_tokens=1_000, text_output_tokens=500),
        usage_source="provider",
        cost_status="priced" if usd is not None else "unknown_billable",
        booked_usd=None if usd is None else Decimal(usd),
        price_version="test 1",
    )
    return replace(call, **changes)


def usage_record(number: int = 1, usd: str = "0.001", **changes: Any) -> UsageRecord:
    record = UsageRecord(
        at_ms=STARTED_AT_MS + number + 800,
        provider="openai",
        model="gpt-4o-mini",
        request_id=f"req-{number}",
        client_request_id=f"attempt-{number}",
        cost_usd=Decimal(usd),
    )
    return replace(record, **changes)
