"""From what happened to rows of the cost table: one per attempt, one for a request that ended without any."""

from decimal import Decimal
from typing import TypedDict

from schemas.attempt import Attempt
from schemas.call import CallRow, Phase
from schemas.flow import Completion, Plan, Ticket
from schemas.request import Priority
from schemas.response import Status
from schemas.usage import Cost, Usage

NOTHING = Decimal(0)
FREE = Cost(
    status="priced",
    input_usd=NOTHING,
    cache_read_usd=NOTHING,
    cache_write_usd=NOTHING,
    output_usd=NOTHING,
    total_usd=NOTHING,
    list_usd=NOTHING,
)
UNKNOWN = Cost(status="unknown_billable")
"""Called, and nobody here knows what became of it: only the provider's own records can tell."""


class _Identity(TypedDict):
    """The columns that every row of a request has in common."""

    request_id: str
    root_request_id: str
    session_id: str | None
    trace_parent: str | None
    origin_topic: str
    origin_partition: int
    origin_offset: int
    tenant_id: str
    user_id: str | None
    feature: str
    env: str
    prompt_version: str
    labels: dict[str, str]
    task: str | None
    model_requested: str
    priority: Priority
    stream: bool
    config_version: int
    produced_at_ms: int
    admitted_at_ms: int | None
    dispatched_at_ms: int | None
    stage_ms: dict[str, int]


def attempt_row(
    ticket: Ticket,
    plan: Plan | None,
    attempt: Attempt,
    phase: Phase,
    *,
    cost: Cost = UNKNOWN,
    usage: Usage | None = None,
    request_status: Status | None = None,
    published_at_ms: int | None = None,
) -> CallRow:
    """`request_status` is given for the attempt that ended the request, and makes its row the final one."""
    ended_ms = attempt.ended_at_ms
    return CallRow(
        phase=phase,
        attempt_id=attempt.attempt_id,
        attempt_no=attempt.attempt_no,
        target_index=attempt.target_index,
        provider_request_id=attempt.provider_request_id,
        model_used=attempt.model_reported or attempt.model,
        model_sent=attempt.model,
        provider=attempt.provider,
        deployment=attempt.deployment,
        price_as=price_as(plan, attempt),
        region=attempt.region,
        route=plan.route if plan else None,
        route_reason=route_reason(plan, attempt),
        service_tier=attempt.service_tier,
        usage=usage or Usage(),
        usage_raw=attempt.usage_raw,
        usage_source=attempt.usage_source,
        cost=cost,
        started_at_ms=attempt.started_at_ms,
        first_token_at_ms=attempt.first_token_at_ms,
        completed_at_ms=ended_ms,
        published_at_ms=published_at_ms,
        queue_ms=max(attempt.started_at_ms - ticket.produced_at_ms, 0),
        provider_ms=None if ended_ms is None else max(ended_ms - attempt.started_at_ms, 0),
        total_ms=None if published_at_ms is None else max(published_at_ms - ticket.produced_at_ms, 0),
        request_status=request_status,
        is_final=request_status is not None,
        error_class=attempt.error_class,
        http_status=attempt.http_status,
        retryable=attempt.retryable,
        hurried=attempt.hurried,
        finish_reason=attempt.finish_reason,
        complete=attempt.error_class != "cut_stream",
        **_identity(ticket),
    )


def price_as(plan: Plan | None, attempt: Attempt) -> str:
    """Whose prices it has: those that its target names, or else those of the protocol it speaks."""
    targets = plan.targets if plan else ()
    named = next((target.price_as for target in targets if target.deployment == attempt.deployment), None)
    return named or attempt.provider


def route_reason(plan: Plan | None, attempt: Attempt | None) -> str | None:
    """Why that route, and why there: numbers are left out, since rows are grouped by it."""
    if plan is None or attempt is None or attempt.why is None:
        return plan.reason if plan else None
    return f"{plan.reason}; {attempt.why}"


def is_unaccounted(completion: Completion) -> bool:
    """A request that was given up after it had its plan: whether it was called, and billed, nobody here can tell."""
    failure = completion.failure
    given_up = failure is not None and failure.code == "internal_error"
    return given_up and not completion.attempts and "route" in completion.ticket.stamps


def saved_usd(completion: Completion) -> Decimal | None:
    """What an answer out of the cache would have cost. One that a rule holds back has saved nobody a call."""
    return completion.saved.cost_usd if completion.saved is not None and completion.status == "ok" else None


def unattempted_row(completion: Completion, published_at_ms: int) -> CallRow:
    """For a hit, a rejection or an expiry: nothing was called, so it is free, and what a hit saved is said."""
    ticket, saved = completion.ticket, completion.saved
    return CallRow(
        phase="priced",
        attempt_id=f"{ticket.origin.topic}/{ticket.origin.partition}/{ticket.origin.offset}",
        attempt_no=0,
        model_used=completion.answer.model if completion.answer else None,
        provider=completion.answer.provider if completion.answer else None,
        deployment=completion.answer.deployment if completion.answer else None,
        cost=UNKNOWN if is_unaccounted(completion) else FREE,
        saved_usd=saved_usd(completion),
        similarity=saved.similarity if saved else None,
        published_at_ms=published_at_ms,
        total_ms=max(published_at_ms - ticket.produced_at_ms, 0),
        request_status=completion.status,
        is_final=True,
        error_class=completion.failure.code if completion.failure else None,
        retryable=completion.failure.retryable if completion.failure else False,
        finish_reason=completion.answer.finish_reason if completion.answer else None,
        cache=completion.cache,
        **_identity(ticket),
    )


def _identity(ticket: Ticket) -> _Identity:
    return {
        "request_id": ticket.request_id,
        "root_request_id": ticket.root_request_id or ticket.request_id,
        "session_id": ticket.session_id,
        "trace_parent": ticket.trace_parent,
        "origin_topic": ticket.origin.topic,
        "origin_partition": ticket.origin.partition,
        "origin_offset": ticket.origin.offset,
        "tenant_id": ticket.tenant_id or "",
        "user_id": ticket.user_id,
        "feature": ticket.labels.get("feature", ""),
        "env": ticket.labels.get("env", ""),
        "prompt_version": ticket.labels.get("prompt_version", ""),
        "labels": ticket.labels,
        "task": ticket.task,
        "model_requested": ticket.model,
        "priority": ticket.priority,
        "stream": ticket.stream,
        "config_version": ticket.config_version,
        "produced_at_ms": ticket.produced_at_ms,
        "admitted_at_ms": ticket.stamps.get("limit"),
        "dispatched_at_ms": ticket.stamps.get("route"),
        "stage_ms": {str(stage): max(at - ticket.produced_at_ms, 0) for stage, at in ticket.stamps.items()},
    }
