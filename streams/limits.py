"""What a request asks of its tenant's and its user's limits, and the answer when it does not fit."""

from collections.abc import Iterator, Mapping
from typing import Literal, assert_never

from msgspec import Struct

from schemas.account import LimitUnit, Meters
from schemas.control import Limits, Tenant
from schemas.flow import Accepted
from schemas.response import Failure
from streams.gcra import Fits, Rate, TooLarge, TooSoon, meter
from streams.questions import summarized
from streams.state.accounts import NO_METERS, Accounts
from streams.state.registered import NOTHING, Held

EXPECTED_OUTPUT_TOKENS = 512
"""Held against a tokens limit for a request that names no max_tokens; corrected when the call is settled."""


class Demand(Struct, frozen=True):
    """What one request asks of one meter: its tenant's, or, where one is named, its user's."""

    user_id: str | None
    unit: LimitUnit
    rate: Rate
    units: int


class Charge(Struct, frozen=True):
    """Where a request that is let through moves meters, by user (None: the tenant's), and what that holds for it."""

    meters: Mapping[str | None, Meters]
    held: Held


NO_CHARGE = Charge({}, NOTHING)


def tokens_of(event: Accepted) -> int:
    return event.input_tokens + (summarized(event).max_tokens or EXPECTED_OUTPUT_TOKENS)


def limited(tenant: Tenant, user_id: str | None) -> tuple[tuple[str | None, Limits], ...]:
    """The tenant's limits, and the user's where a user is named."""
    whole: tuple[tuple[str | None, Limits], ...] = ((None, tenant.limits),)
    return whole if user_id is None else (*whole, (user_id, tenant.user_limits))


def demands_of(event: Accepted, tenant: Tenant | None) -> tuple[Demand, ...]:
    if tenant is None:
        return ()
    return tuple(
        Demand(user_id, unit, rate, 1 if unit == "requests" else tokens_of(event))
        for user_id, limits in limited(tenant, event.ticket.user_id)
        for unit, rate in rates_of(limits)
    )


def rates_of(limits: Limits) -> Iterator[tuple[LimitUnit, Rate]]:
    if limits.requests_per_minute is not None:
        burst = limits.burst_requests or limits.requests_per_minute
        yield "requests", Rate(limits.requests_per_minute, burst)
    tokens = token_rate(limits)
    if tokens is not None:
        yield "tokens", tokens


def token_rate(limits: Limits) -> Rate | None:
    a_minute = limits.tokens_per_minute
    return None if a_minute is None else Rate(a_minute, a_minute)


def weigh(demands: tuple[Demand, ...], accounts: Accounts, tenant_id: str, now_ms: int) -> Charge | Failure:
    """All meters take the request, or none does."""
    now_us = now_ms * 1000
    moved: dict[str | None, Meters] = {}
    held = NOTHING
    wait_us, blocker = 0, None
    for demand in demands:
        meters = moved.get(demand.user_id) or accounts.meters(tenant_id, demand.user_id) or NO_METERS
        result = meter(demand.rate, meters.of(demand.unit), now_us, demand.units)
        match result:
            case Fits(arrival_us):
                moved[demand.user_id] = meters.moved(demand.unit, arrival_us)
                if demand.unit == "tokens":
                    held = _holding(held, demand, arrival_us)
            case TooSoon(retry_after_us):
                if blocker is None or retry_after_us > wait_us:
                    wait_us, blocker = retry_after_us, demand
            case TooLarge(burst):
                return _never_fits(demand, burst)
            case _ as unreachable:
                assert_never(unreachable)
    return Charge(moved, held) if blocker is None else _too_soon(blocker, -(-wait_us // 1000))


def _holding(held: Held, demand: Demand, arrival_us: int) -> Held:
    if demand.user_id is None:
        return Held(demand.units, arrival_us, held.user_until_us)
    return Held(demand.units, held.tenant_until_us, arrival_us)


def _too_soon(demand: Demand, retry_after_ms: int) -> Failure:
    return Failure(
        code="rate_limited",
        message=(
            f"{_whose(demand)} limit of {demand.rate.per_minute} {demand.unit} a minute is used up; "
            f"send it again under a new request_id in {retry_after_ms} ms"
        ),
        field=_field(demand),
        retryable=True,
        retry_after_ms=retry_after_ms,
    )


def _never_fits(demand: Demand, burst: int) -> Failure:
    return Failure(
        code="rate_limited",
        message=(
            f"the request needs about {demand.units} {demand.unit} and {_whose(demand)} limit lets at most "
            f"{burst} through at once: shorten messages, or lower params.max_tokens"
        ),
        field="messages",
    )


def _whose(demand: Demand) -> Literal["the tenant's", "the user's"]:
    return "the tenant's" if demand.user_id is None else "the user's"


def _field(demand: Demand) -> Literal["tenant_id", "user_id"]:
    return "tenant_id" if demand.user_id is None else "user_id"
