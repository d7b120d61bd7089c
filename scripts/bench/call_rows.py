"""Call rows as the stages write them: of each call one row when it has started and one with its price."""

from collections.abc import Iterator
from typing import Any, Final

from schemas.attempt import Attempt
from schemas.call import CallRow
from schemas.flow import Plan, StageName, Target, Ticket
from schemas.wire import Origin
from streams.control import ControlView
from streams.cost.booking import book
from streams.cost.ledger import attempt_row

ROWS_PER_CALL: Final = 2
_NUMBER: Final = "#"
_TIMES_MS: Final[dict[StageName, int]] = {"validate": 2, "limit": 6, "cache": 9, "route": 12, "invoke": 830}
_USAGE: Final[dict[str, Any]] = {
    "prompt_tokens": 212,
    "completion_tokens": 180,
    "total_tokens": 392,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}


def call_rows(first: int, calls: int, at_ms: int) -> Iterator[bytes]:
    """Of `calls` calls from that number on, each encoded as it is on `llm.calls`, all asked at that time (UTC)."""
    templates = [row.encode().split(_NUMBER.encode()) for row in _templates(at_ms)]
    for number in range(first, first + calls):
        written = str(number).encode()
        for parts in templates:
            yield written.join(parts)


def _templates(at_ms: int) -> tuple[CallRow, CallRow]:
    ticket = Ticket(
        request_id=f"bench-{_NUMBER}",
        tenant_id="tenant-1",
        user_id="user-1",
        model="gpt-4o-mini",
        labels={"feature": "bench", "env": "bench"},
        origin=Origin(topic="llm.requests", partition=0, offset=1),
        produced_at_ms=at_ms,
        stamps={stage: at_ms + took_ms for stage, took_ms in _TIMES_MS.items()},
    )
    target = Target(deployment="openai-1", provider="openai", model="gpt-4o-mini")
    plan = Plan(route="default", reason="default route", targets=(target,), max_attempts=3, timeout_ms=15_000)
    begun = Attempt(
        attempt_id=f"attempt-{_NUMBER}",
        attempt_no=1,
        target_index=0,
        deployment=target.deployment,
        provider=target.provider,
        model=target.model,
        started_at_ms=at_ms + 15,
    )
    ended = Attempt(
        attempt_id=begun.attempt_id,
        attempt_no=1,
        target_index=0,
        deployment=target.deployment,
        provider=target.provider,
        model=target.model,
        started_at_ms=begun.started_at_ms,
        ended_at_ms=at_ms + 825,
        model_reported="gpt-4o-mini-2024-07-18",
        provider_request_id=f"req-{_NUMBER}",
        finish_reason="stop",
        usage_raw=_USAGE,
        usage_source="provider",
        http_status=200,
    )
    _, usage, cost = book(ControlView(), ticket.tenant_id, plan, ended)
    priced = attempt_row(
        ticket, plan, ended, "priced", cost=cost, usage=usage, request_status="ok", published_at_ms=at_ms + 840
    )
    return attempt_row(ticket, plan, begun, "started"), priced
