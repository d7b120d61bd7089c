"""What a request asks of the limits of its tenant, its user and its model, and the answer when it does not fit."""

from collections.abc import Iterator, Mapping
from typing import Literal, assert_never

from msgspec import Struct

from schemas.account import LimitUnit, Meters
from schemas.control import Limits, Tenant
from schemas.flow import Accepted
from schemas.response import Failure
from streams.gcra import MINUTE_US, Fits, Rate, TooLarge, TooSoon, meter
from streams.questions import summarized
from streams.state.accounts import NO_METERS, Accounts
from streams.state.registered import NOTHING, Held
from streams.state.waiting import Line

EXPECTED_OUTPUT_TOKENS = 512
"""Held for a request that names no max_tokens; corrected when the call is settled."""

Scope = Literal["tenant", "user", "model"]
_HOUR_US = 60 * MINUTE_US
_DAY_US = 24 * _HOUR_US
_PERIOD: dict[int, str] = {MINUTE_US: "a minute", _HOUR_US: "an hour", _DAY_US: "a day"}
_FIELD: dict[Scope, str] = {"tenant": "tenant_id", "user": "user_id", "model": "model"}


class Asker(Struct, frozen=True):
    """Whose meters a request moves. `model` is None where the tenant has no limits for it."""

    tenant_id: str
    user_id: str | None
    model: str | None

    @property
    def line(self) -> Line:
        """Where it waits, if it must."""
        return self.user_id, self.model

    def meters(self, accounts: Accounts, scope: Scope) -> Meters | None:
        match scope:
            case "tenant":
                return accounts.meters(self.tenant_id, None)
            case "user":
                return None if self.user_id is None else accounts.meters(self.tenant_id, self.user_id)
            case "model":
                return None if self.model is None else accounts.model_meters(self.tenant_id, self.model)
            case _ as unreachable:
                assert_never(unreachable)


class Demand(Struct, frozen=True):
    """What one request asks of one meter."""

    scope: Scope
    unit: LimitUnit
    rate: Rate
    units: int


class Charge(Struct, frozen=True):
    """Where a request that is let through moves meters, and what that holds for it."""

    meters: Mapping[Scope, Meters]
    held: Held


NO_CHARGE = Charge({}, NOTHING)


class Short(Struct, frozen=True):
    """It does not fit yet. `demand` is the one that takes longest."""

    demand: Demand
    wait_ms: int


def tokens_of(event: Accepted) -> int:
    return event.input_tokens + expected_output(event)


def expected_output(event: Accepted) -> int:
    return summarized(event).max_tokens or EXPECTED_OUTPUT_TOKENS


def asker_of(tenant: Tenant | None, tenant_id: str, user_id: str | None, model: str) -> Asker:
    has_limits = tenant is not None and model in tenant.model_limits
    return Asker(tenant_id, user_id, model if has_limits else None)


def limited(tenant: Tenant, user_id: str | None, model: str | None) -> tuple[tuple[Scope, Limits], ...]:
    """The tenant's limits, the user's where one is named, and the model's where it has some."""
    found: tuple[tuple[Scope, Limits], ...] = (("tenant", tenant.limits),)
    if user_id is not None:
        found = (*found, ("user", tenant.user_limits))
    limits = tenant.model_limits.get(model) if model is not None else None
    return found if limits is None else (*found, ("model", limits))


def demands_of(event: Accepted, tenant: Tenant | None) -> tuple[Demand, ...]:
    return () if tenant is None else demands(tenant, event.ticket.user_id, event.ticket.model, tokens_of(event))


def demands(tenant: Tenant, user_id: str | None, model: str | None, tokens: int) -> tuple[Demand, ...]:
    return tuple(
        demand for scope, limits in limited(tenant, user_id, model) for demand in demands_on(limits, scope, tokens)
    )


def demands_on(limits: Limits, scope: Scope, tokens: int) -> Iterator[Demand]:
    for unit, rate in rates_of(limits):
        yield Demand(scope, unit, rate, 1 if unit == "requests" else tokens)


def rates_of(limits: Limits) -> Iterator[tuple[LimitUnit, Rate]]:
    if limits.requests_per_minute is not None:
        burst = limits.burst_requests or limits.requests_per_minute
        yield "requests", Rate(limits.requests_per_minute, burst)
    yield from token_rates(limits)


def token_rates(limits: Limits) -> Iterator[tuple[LimitUnit, Rate]]:
    """A whole period's tokens may come at once."""
    if (of_minute := limits.tokens_per_minute) is not None:
        yield "tokens", Rate(of_minute, of_minute)
    if (of_hour := limits.tokens_per_hour) is not None:
        yield "tokens_hour", Rate(of_hour, of_hour, _HOUR_US)
    if (of_day := limits.tokens_per_day) is not None:
        yield "tokens_day", Rate(of_day, of_day, _DAY_US)


def counts_tokens(limits: Limits) -> bool:
    return next(token_rates(limits), None) is not None


def weigh(demands: tuple[Demand, ...], accounts: Accounts, asker: Asker, now_ms: int) -> Charge | Short | Failure:
    """All meters take the request, or none does. A Failure is of one that never fits."""
    now_us = now_ms * 1000
    moved: dict[Scope, Meters] = {}
    held = NOTHING
    wait_us, blocker = 0, None
    for demand in demands:
        meters = moved.get(demand.scope) or asker.meters(accounts, demand.scope) or NO_METERS
        result = meter(demand.rate, meters.of(demand.unit), now_us, demand.units)
        match result:
            case Fits(arrival_us):
                moved[demand.scope] = meters.moved(demand.unit, arrival_us)
                if demand.unit != "requests":
                    held = held.holding(demand.scope, demand.unit, demand.units, arrival_us)
            case TooSoon(retry_after_us):
                if blocker is None or retry_after_us > wait_us:
                    wait_us, blocker = retry_after_us, demand
            case TooLarge(burst):
                return _never_fits(demand, burst)
            case _ as unreachable:
                assert_never(unreachable)
    return Charge(moved, held) if blocker is None else Short(blocker, -(-wait_us // 1000))


def too_soon(demand: Demand, retry_after_ms: int) -> Failure:
    return Failure(
        code="rate_limited",
        message=(
            f"the {demand.scope}'s limit of {demand.rate.units} {_what(demand)} {_PERIOD[demand.rate.period_us]} is "
            f"used up; send it again under a new request_id in {retry_after_ms} ms"
        ),
        field=_FIELD[demand.scope],
        retryable=True,
        retry_after_ms=retry_after_ms,
    )


def _never_fits(demand: Demand, burst: int) -> Failure:
    return Failure(
        code="rate_limited",
        message=(
            f"the request needs about {demand.units} {_what(demand)} and the {demand.scope}'s limit lets at most "
            f"{burst} through at once: shorten messages, or lower params.max_tokens"
        ),
        field="messages",
    )


def _what(demand: Demand) -> Literal["requests", "tokens"]:
    return "requests" if demand.unit == "requests" else "tokens"
