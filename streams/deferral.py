"""What is over a limit and may wait: who goes before whom, until when, and about how long that takes.

Whoever waits is weighed by the clock, not by its record's time: what is let in then is what the limits allow then. Its
registration says when it went on, so that a repetition decides the same.
"""

from schemas.account import Meters
from schemas.control import Tenant
from schemas.flow import Ticket
from schemas.response import Failure
from schemas.topics import MIB
from streams.limits import Asker, Demand, Scope, demands, demands_on
from streams.state.accounts import NO_METERS, Accounts
from streams.state.precedence import ALWAYS_US, Own, Stance
from streams.state.waiting import Crowd

MOST_MS = 12 * 3_600_000
"""Far below a day, after which a request id is forgotten."""
CARRY_MS = 600_000
"""Who has waited so long is written again behind the others. Otherwise the topic could not be committed beyond it, and
a restart would read all that has gone on since.
"""
NAP_MS = 1_000
"""Whoever is first in line is looked at again this often: limits change, and what others held is given back."""


def until_ms(ticket: Ticket, tenant: Tenant, now_ms: int) -> int:
    if ticket.deadline_ms is None:
        return now_ms + tenant.defer_max_s * 1_000
    return min(ticket.deadline_ms, now_ms + MOST_MS)


def is_behind(crowd: Crowd, tenant: Tenant, asker: Asker, offset: int, accounts: Accounts, now_ms: int) -> bool:
    """Whether somebody who asked before waits for a meter that this one needs too, or is about to go on. Who waits for
    a meter of another user holds nobody up.
    """
    known, now_us = crowd.precedence, now_ms * 1_000
    known.begin(tenant)
    heads = crowd.heads
    while len(known) < len(heads) and heads[len(known)][0] < offset and not known.lets_nobody_pass(now_us):
        at, line = heads[len(known)]
        known.append(at, stance(tenant, Asker(asker.tenant_id, *line), crowd.head(line).tokens, accounts))
    meters = accounts.meters(asker.tenant_id, None) or NO_METERS

    def tenant_ready_us(tokens: int) -> int:
        return max((_ready_us(demand, meters) for demand in demands_on(tenant.limits, "tenant", tokens)), default=0)

    return known.holds_up(offset, asker.user_id, asker.model, now_us, tenant_ready_us)


def stance(tenant: Tenant, asker: Asker, tokens: int, accounts: Accounts) -> Stance:
    ready_us, holder = ALWAYS_US, None
    for demand in demands(tenant, asker.user_id, asker.model, tokens):
        if demand.units > demand.rate.burst:  # it never fits
            return Stance(ALWAYS_US, None, tokens)
        name = _name(asker, demand.scope)
        if name is not None:
            at_us = _ready_us(demand, asker.meters(accounts, demand.scope) or NO_METERS)
            if at_us > ready_us:
                ready_us, holder = at_us, name
    return Stance(ready_us, holder, tokens)


def _name(asker: Asker, scope: Scope) -> tuple[Own, str] | None:
    """Of a meter that is not the tenant's own."""
    match scope:
        case "tenant":
            return None
        case "user":
            return None if asker.user_id is None else ("user", asker.user_id)
        case "model":
            return None if asker.model is None else ("model", asker.model)


def _ready_us(demand: Demand, meters: Meters) -> int:
    """When the meter takes what is demanded of it, if nothing else comes first: see `gcra.meter`."""
    stand_us = meters.of(demand.unit)
    if stand_us is None:
        return ALWAYS_US
    return stand_us + demand.rate.span_us(demand.units) - demand.rate.span_us(demand.rate.burst)


def estimated_wait_ms(
    crowd: Crowd | None,
    tenant: Tenant | None,
    asker: Asker,
    tokens: int,
    accounts: Accounts,
    now_ms: int,
    offset: int | None = None,
) -> int:
    """If all who wait before it go on and nothing is given back. Others of its model or user in other lines are not
    counted there. `offset` is that of one who waits already: those who came after it are not counted.
    """
    if tenant is None:
        return 0
    now_us, wait_us = now_ms * 1_000, 0
    for demand in demands(tenant, asker.user_id, asker.model, tokens):
        count, before = (0, 0) if crowd is None else crowd.before(offset, asker.line)
        if crowd is not None and demand.scope == "tenant":
            count, before = crowd.before(offset)
        units = demand.units + (count if demand.unit == "requests" else before)
        meters = asker.meters(accounts, demand.scope)
        stand_us = (None if meters is None else meters.of(demand.unit)) or now_us
        ahead_us = max(stand_us, now_us) + demand.rate.span_us(units) - now_us
        wait_us = max(wait_us, ahead_us - demand.rate.span_us(demand.rate.burst))
    return -(-wait_us // 1_000)


def may_not_wait(crowd: Crowd, tenant: Tenant) -> str | None:
    """What keeps a newcomer from waiting behind these, if anything does. The last one may go beyond the most bytes."""
    if tenant.on_limit == "reject":
        return "others of the tenant wait for its limits since before it"
    if crowd.count >= tenant.max_deferred:
        return f"over a limit, and {tenant.max_deferred} requests of the tenant wait already, as many as may"
    if crowd.size_bytes >= tenant.max_deferred_mib * MIB:
        return f"over a limit, and {tenant.max_deferred_mib} MiB of the tenant's requests wait already, as much as may"
    return None


def no_place(hindrance: str, wait_ms: int) -> Failure:
    return Failure(
        code="rate_limited",
        message=f"{hindrance}; send it again under a new request_id in {wait_ms} ms",
        field="tenant_id",
        retryable=True,
        retry_after_ms=wait_ms,
    )


def waited_too_long(ticket: Ticket) -> Failure:
    if ticket.deadline_ms is None:
        message = "the tenant's limits left no room for it as long as it could wait; send it again, or set deadline_ms"
    else:
        message = "deadline_ms passed while the request waited; send it again with more time"
    return Failure(code="deadline_exceeded", message=message, field="deadline_ms", retryable=True)
