"""May this tenant, and this user, ask now? Is there money left for it? And has this request id been used before?

One worker owns all of a tenant's events, so its limits and budgets cannot race. The time that counts is the record's
own, so a replay decides the same; for those that wait on `llm.deferred`, see `streams.deferral`.
"""

from typing import Literal, assert_never

from schemas.base import Event
from schemas.call import CallOutline
from schemas.flow import Accepted, Deferred, Refused, Ticket
from schemas.notice import Notice
from schemas.response import Failure
from schemas.topics import ACCOUNTS, ADMITTED, ALERTS, BUDGETS, CALLS, DEFERRED, NOTICES, VALIDATED, Topic
from streams.admission import go_on, let_in, register, told_again
from streams.deferral import is_behind, waited_too_long
from streams.deferring import queue, wait_on, waiting_records
from streams.limits import (
    Charge,
    Short,
    asker_of,
    demands_of,
    too_soon,
    weigh,
)
from streams.limits_stop import stopped
from streams.observe.metrics import Metrics
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import Absorb, DeadLetter, Forward, Outcome, Park
from streams.runtime.stage import Stage, View, read_event
from streams.stages.limit_settled import settle_row
from streams.state.accounts import Accounts
from streams.state.registered import Registered, shortened
from streams.state.waiting import held_as
from streams.tenancy import LOOK_AGAIN_MS, turned_out

Asked = Accepted | Refused | Deferred | CallOutline


def decide(event: Asked, view: View[Accounts]) -> Outcome:
    match event:
        case Accepted() | Refused():
            return _admit(event, view)
        case Deferred():
            return wait_on(event, view)
        case CallOutline():
            return settle_row(event, view)
        case _ as unreachable:
            assert_never(unreachable)


def _admit(event: Accepted | Refused, view: View[Accounts]) -> Outcome:
    tenant_id = event.ticket.tenant_id or ""
    known = view.state.registered(tenant_id, event.ticket.request_id)
    if known is None:
        return _first_sight(event, view)
    if known.offset == view.delivery.offset:  # our own work, taken again after a crash: it is charged already
        return _again(event, known, view)
    if known.digest == shortened(event.digest):
        return Absorb("request_id repeated with the same content: its one response answers both")
    return DeadLetter(
        "request_id_reused",
        f"request_id of tenant {tenant_id} was used before for other content; it is answered once: send a new id",
    )


def _again(event: Accepted | Refused, known: Registered, view: View[Accounts]) -> Outcome:
    if known.deferred_offset is not None:
        return Absorb("it has waited, and has gone on since")
    if known.deferred_until_ms is not None and isinstance(event, Accepted):
        return Forward(waiting_records(event, known.deferred_until_ms, view))
    return go_on(event, known.refusal, view, told_again(known, view))


def _first_sight(event: Accepted | Refused, view: View[Accounts]) -> Outcome:
    match event:
        case Refused():
            return register(event, view, event.failure)
        case Accepted():
            return _weighed(event, view)
        case _ as unreachable:
            assert_never(unreachable)


def _weighed(event: Accepted, view: View[Accounts]) -> Outcome:
    hindrance = _hindrance(event.ticket, view)
    match hindrance:
        case None:
            return _metered(event, view)
        case "not read yet":
            return Park(held_as(event.ticket.tenant_id or "", event.ticket.request_id), view.now_ms + LOOK_AGAIN_MS)
        case Failure():
            return register(event, view, hindrance)
        case _ as unreachable:
            assert_never(unreachable)


def _metered(event: Accepted, view: View[Accounts]) -> Outcome:
    """Limits and budgets take the request, or none of them does."""
    tenant_id, now_ms = event.ticket.tenant_id or "", view.delivery.timestamp_ms
    tenant = view.control.tenants.get(tenant_id)
    asker = asker_of(tenant, tenant_id, event.ticket.user_id, event.ticket.model)
    charge = weigh(demands_of(event, tenant), view.state, asker, now_ms)
    match charge:
        case Charge():
            crowd, offset = view.state.waiting.of(tenant_id), view.delivery.offset
            if tenant is None or crowd is None or not is_behind(crowd, tenant, asker, offset, view.state, now_ms):
                return let_in(event, view, charge, now_ms, None)
            return queue(event, tenant, asker, view)
        case Short(demand, wait_ms):
            if tenant is not None and tenant.on_limit == "defer":
                return queue(event, tenant, asker, view)
            return register(event, view, too_soon(demand, wait_ms))
        case Failure():
            return register(event, view, charge)
        case _ as unreachable:
            assert_never(unreachable)


def _hindrance(ticket: Ticket, view: View[Accounts]) -> Failure | Literal["not read yet"] | None:
    """What stands against it, whatever its limits say."""
    if ticket.deadline_ms is not None and ticket.deadline_ms <= view.now_ms:
        return waited_too_long(ticket)
    out = turned_out(view.control, ticket, view.now_ms, view.parked_ms)
    return out or stopped(view.control, ticket.tenant_id or "", view.delivery.timestamp_ms)


def _read(topic: Topic, delivery: Delivery) -> Asked:
    return CallOutline.decode(delivery.value or b"") if topic is CALLS else read_event(topic, delivery)


def _measure(event: Event, metrics: Metrics) -> None:
    match event:
        case Notice(state="deferred"):
            metrics.observe(
                "millrace_deferral_seconds", event.priority, "estimated", value=event.estimated_wait_ms / 1_000
            )
        case Notice(state="admitted"):
            metrics.observe("millrace_deferral_seconds", event.priority, "waited", value=event.waited_ms / 1_000)
        case _:
            pass


STAGE: Stage[Asked, Accounts] = Stage(
    name="limit",
    reads=(VALIDATED, DEFERRED, CALLS),
    writes=(ADMITTED, DEFERRED, NOTICES, ACCOUNTS, BUDGETS, ALERTS),
    decide=decide,
    parse=_read,
    state=Accounts,
    tables=(BUDGETS, ACCOUNTS),
    changelog_first=True,
    holds=(DEFERRED,),
    measure=_measure,
)
