"""What an attempt is booked with: its usage and its cost, as far as anybody here can know them. See decision 19."""

from msgspec.structs import replace

from schemas.attempt import Attempt
from schemas.flow import Plan
from schemas.usage import Cost, Usage
from streams.control import ControlView
from streams.cost.agreed import Priceable, cost_of
from streams.cost.ledger import FREE, UNKNOWN, price_as
from streams.cost.usage import UnusableUsage, usage

Booked = tuple[Attempt, Usage | None, Cost]


def book(control: ControlView, tenant_id: str | None, plan: Plan | None, attempt: Attempt) -> Booked:
    """By what the provider reported; else by what it must have used; else, where it is not known whether it was billed
    at all, as unknown, with what it may come to beside the total. Only what cannot have been billed is free.
    """
    may_be_billed = attempt.ambiguous or attempt.error_class is None
    if attempt.usage_raw is None and not may_be_billed:
        return attempt, None, FREE
    used = _reported(attempt)
    if used is not None and attempt.usage_source == "provider":
        return attempt, used, _cost(control, tenant_id, plan, attempt, used)
    used = attempt.estimated_usage or used
    if used is None:
        return attempt, None, UNKNOWN
    if attempt.answering or attempt.usage_raw is not None or attempt.error_class is None:
        source = attempt.usage_source if attempt.usage_source == "partial" else "estimated"
        cost = _cost(control, tenant_id, plan, attempt, used)
        cost = replace(cost, status="estimated") if cost.status == "priced" else cost
        return replace(attempt, usage_source=source), used, cost
    return attempt, None, may_cost(control, tenant_id, plan, attempt)


def may_cost(control: ControlView, tenant_id: str | None, plan: Plan | None, attempt: Attempt) -> Cost:
    """Of an attempt that may have been billed: nothing is known, but what it comes to if it was."""
    if attempt.estimated_usage is None:
        return UNKNOWN
    cost = _cost(control, tenant_id, plan, attempt, attempt.estimated_usage)
    return replace(UNKNOWN, estimated_usd=cost.total_usd, price_version=cost.price_version)


def _reported(attempt: Attempt) -> Usage | None:
    try:
        return usage(attempt.provider, attempt.usage_raw)
    except UnusableUsage:
        return None


def _cost(control: ControlView, tenant_id: str | None, plan: Plan | None, attempt: Attempt, used: Usage) -> Cost:
    reported, sent = attempt.model_reported, attempt.model
    call = Priceable(
        tenant_id=tenant_id or "",
        deployment=attempt.deployment,
        provider=price_as(plan, attempt),
        models=(sent,) if reported is None or reported == sent else (reported, sent),
        at_ms=attempt.started_at_ms,
        duration_ms=max((attempt.ended_at_ms or attempt.started_at_ms) - attempt.started_at_ms, 0),
        service_tier=attempt.service_tier,
    )
    return cost_of(control, call, used)
