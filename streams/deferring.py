"""Requests that wait until the limits of their tenant take them: how they come to wait, and how they go on."""

from typing import assert_never

from msgspec.structs import replace

from schemas.control import Tenant
from schemas.flow import Accepted, Deferred
from schemas.response import Failure
from schemas.topics import DEFERRED
from streams.admission import deferred_notice, go_on, let_in, register, registration, told_again
from streams.deferral import (
    CARRY_MS,
    NAP_MS,
    estimated_wait_ms,
    is_behind,
    may_not_wait,
    no_place,
    until_ms,
    waited_too_long,
)
from streams.limits import Asker, Charge, Short, asker_of, demands_of, tokens_of, weigh
from streams.limits_stop import stopped
from streams.runtime.outcome import Absorb, Forward, Outcome, Park, Record
from streams.runtime.stage import View
from streams.stages.limit_records import registration_record
from streams.state.accounts import Accounts
from streams.state.registered import Registered
from streams.state.waiting import held_as
from streams.tenancy import not_served


def queue(event: Accepted, tenant: Tenant, asker: Asker, view: View[Accounts]) -> Outcome:
    """It comes to wait, where it may: it is registered, so that its id is used up and its place in line is known.
    Nothing is charged for it yet.
    """
    now_ms, crowd = view.delivery.timestamp_ms, view.state.waiting.of(asker.tenant_id)
    hindrance = None if crowd is None else may_not_wait(crowd, tenant)
    if hindrance is not None:
        wait_ms = estimated_wait_ms(crowd, tenant, asker, tokens_of(event), view.state, now_ms)
        return register(event, view, no_place(hindrance, max(wait_ms, 0)))
    until = until_ms(event.ticket, tenant, max(now_ms, view.now_ms))
    registered = replace(
        registration(event, view, None),
        deferred_until_ms=until,
        deferred_tokens=tokens_of(event),
        deferred_bytes=len(view.delivery.value or b""),
    )
    return Forward((registration_record(registered), *waiting_records(event, until, view)))


def waiting_records(event: Accepted, until: int, view: View[Accounts]) -> tuple[Record, ...]:
    tenant_id = event.ticket.tenant_id or ""
    deferred = Deferred(
        ticket=event.ticket,
        prompt=event.prompt,
        digest=event.digest,
        input_tokens=event.input_tokens,
        summary=event.summary,
        until_ms=until,
    )
    return (Record(DEFERRED, tenant_id, deferred), deferred_notice(event, until, view))


def wait_on(event: Deferred, view: View[Accounts]) -> Outcome:
    """Whoever is first in its line goes on when it fits; the others wait for that, or for their time to be over."""
    request, tenant_id = event.request, event.ticket.tenant_id or ""
    known = view.state.registered(tenant_id, event.ticket.request_id)
    if known is None:  # not even its id is known any more: a day has passed
        return go_on(request, waited_too_long(event.ticket), view, ())
    if known.deferred_until_ms is None:
        return _gone_on(request, known, view)
    now_ms = max(view.now_ms, known.seen_at_ms)
    if now_ms >= event.until_ms:
        return register(request, view, waited_too_long(event.ticket), known=known)
    since_ms = view.now_ms if view.parked_ms is None else view.parked_ms
    if view.now_ms >= since_ms + CARRY_MS:
        return Forward(waiting_records(request, event.until_ms, view))
    return _its_turn(request, known, view, now_ms, min(event.until_ms, since_ms + CARRY_MS))


def _gone_on(request: Accepted, known: Registered, view: View[Accounts]) -> Outcome:
    """Taken again: what it led to may not have been written before a crash."""
    if known.deferred_offset != view.delivery.offset:
        return Absorb("another record of it has gone on", is_routine=True)
    if known.settled:
        return Absorb("it has gone on, and has ended", is_routine=True)
    return go_on(request, known.refusal, view, told_again(known, view))


def _its_turn(request: Accepted, known: Registered, view: View[Accounts], now_ms: int, latest_ms: int) -> Outcome:
    tenant_id = request.ticket.tenant_id or ""
    name = held_as(tenant_id, request.ticket.request_id)
    crowd = view.state.waiting.of(tenant_id)
    if crowd is not None and not view.state.is_first(crowd, tenant_id, request.ticket.request_id):
        return Park(name, latest_ms)
    refusal = not_served(view.control, tenant_id) or stopped(view.control, tenant_id, now_ms)
    if refusal is not None:
        return register(request, view, refusal, known=known)
    nap_ms = min(latest_ms, view.now_ms + NAP_MS)
    tenant = view.control.tenants.get(tenant_id)
    asker = asker_of(tenant, tenant_id, known.user_id, request.ticket.model)
    charge = weigh(demands_of(request, tenant), view.state, asker, now_ms)
    match charge:
        case Charge():
            if (
                crowd is not None
                and tenant is not None
                and is_behind(crowd, tenant, asker, known.offset, view.state, now_ms)
            ):
                return Park(name, nap_ms)
            return let_in(request, view, charge, now_ms, known)
        case Short(_, wait_ms):
            return Park(name, min(nap_ms, now_ms + wait_ms))
        case Failure():
            return register(request, view, charge, known=known)
        case _ as unreachable:
            assert_never(unreachable)
