"""Call rows for tests: a complete, ordinary one, to be changed where it matters."""

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from schemas.call import CallRow, Phase
from schemas.usage import Cost, Usage

PRODUCED_AT_MS = 1_795_000_000_000
"""2026-11-18 11:06:40 UTC."""
UNKNOWN = Cost(status="unknown_billable")
NO_UINT64 = 2**64
"""As a token count, a value that CallRow accepts and no column can hold."""


def priced(total: str) -> Cost:
    usd = Decimal(total)
    return Cost(status="priced", output_usd=usd, total_usd=usd, list_usd=usd, price_version="test 1")


def call_row(number: int = 1, phase: Phase = "priced", **changes: Any) -> CallRow:
    """The row of attempt `number`, as it is in `phase`: what is not known yet is not there yet."""
    settled = phase != "started"
    row = CallRow(
        phase=phase,
        request_id=f"request-{number}",
        root_request_id=f"request-{number}",
        attempt_id=f"attempt-{number}",
        attempt_no=1,
        origin_topic="llm.requests",
        origin_partition=number % 3,
        origin_offset=number,
        tenant_id="acme",
        user_id="ada",
        feature="search",
        labels={"feature": "search", "team": "müller"},
        model_requested="auto",
        model_used="gpt-5-mini",
        provider="openai",
        deployment="openai-1",
        route="default",
        priority="normal",
        config_version=7,
        usage=Usage(uncached_input_tokens=1_200, cache_read_tokens=300, text_output_tokens=210) if settled else Usage(),
        usage_raw={"prompt_tokens": 1_500, "completion_tokens": 210} if settled else None,
        usage_source="provider" if settled else "none",
        cost=priced("0.000749501") if phase == "priced" else UNKNOWN,
        produced_at_ms=PRODUCED_AT_MS + number,
        started_at_ms=PRODUCED_AT_MS + number + 30,
        completed_at_ms=PRODUCED_AT_MS + number + 1_030 if settled else None,
        queue_ms=30,
        provider_ms=1_000 if settled else None,
        total_ms=1_040 if phase == "priced" else None,
        stage_ms={"validate": 2, "invoke": 1_030},
        request_status="ok" if phase == "priced" else None,
        is_final=phase == "priced",
        http_status=200 if settled else None,
        finish_reason="stop" if settled else None,
    )
    return replace(row, **changes)


def unwritable_row(number: int = 1) -> CallRow:
    return call_row(number, usage=Usage(uncached_input_tokens=NO_UINT64))
