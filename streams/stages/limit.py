"""May this tenant, and this user, ask now? And has this request id been used before?

One worker owns all of a tenant's events, so its limits cannot race. The time that counts is the record's own, so a
replay decides the same.
"""

from typing import assert_never

from schemas.account import Meter, Registration
from schemas.call import CallOutline
from schemas.flow import Accepted, Admitted, Completion, Refused, Ticket
from schemas.response import Failure, Status
from schemas.topics import ACCOUNTS, ADMITTED, CALLS, VALIDATED, Topic
from streams.gcra import settle
from streams.limits import demands_of, limited, rates_of, tokens_of, weigh
from streams.questions import summarized
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import Absorb, DeadLetter, Finish, Forward, Outcome, Record
from streams.runtime.stage import Stage, View, read_event
from streams.state.accounts import Accounts, MeterKey
from streams.state.registered import shortened


def decide(event: Accepted | Refused | CallOutline, view: View[Accounts]) -> Outcome:
    match event:
        case Accepted() | Refused():
            return _admit(event, view)
        case CallOutline():
            return _settle(event, view)
        case _ as unreachable:
            assert_never(unreachable)


def _admit(event: Accepted | Refused, view: View[Accounts]) -> Outcome:
    tenant_id = event.ticket.tenant_id or ""
    known = view.state.registered(tenant_id, event.ticket.request_id)
    if known is None:
        return _first_sight(event, view)
    if known.offset == view.delivery.offset:  # our own work, taken again after a crash: it is charged already
        return _go_on(event, known.refusal, view, ())
    if known.digest == shortened(event.digest):
        return Absorb("request_id repeated with the same content: its one response answers both")
    return DeadLetter(
        "request_id_reused",
        f"request_id of tenant {tenant_id} was used before for other content; it is answered once: send a new id",
    )


def _first_sight(event: Accepted | Refused, view: View[Accounts]) -> Outcome:
    match event:
        case Refused():
            return _register(event, view, event.failure, ())
        case Accepted():
            demands = demands_of(event, view.control.tenants.get(event.ticket.tenant_id or ""))
            verdict = weigh(demands, view.state, view.delivery.timestamp_ms)
            if isinstance(verdict, Failure):
                return _register(event, view, verdict, ())
            return _register(event, view, None, verdict)
        case _ as unreachable:
            assert_never(unreachable)


def _register(
    event: Accepted | Refused, view: View[Accounts], refusal: Failure | None, meters: tuple[Meter, ...]
) -> Outcome:
    ticket = event.ticket
    held_until = {changed.user_id: changed.arrival_us for changed in meters if changed.unit == "tokens"}
    registration = Registration(
        tenant_id=ticket.tenant_id or "",
        user_id=ticket.user_id,
        request_id=ticket.request_id,
        offset=view.delivery.offset,
        digest=event.digest,
        seen_at_ms=view.delivery.timestamp_ms,
        refusal=refusal,
        reserved_tokens=tokens_of(event) if isinstance(event, Accepted) and held_until else 0,
        tenant_held_until_us=held_until.get(None, 0),
        user_held_until_us=0 if ticket.user_id is None else held_until.get(ticket.user_id, 0),
    )
    # in this order: what breaks off in between charges once more, and never lets anything pass for nothing
    changes = (*(_account_record(changed) for changed in meters), _account_record(registration))
    return _go_on(event, refusal, view, changes)


def _go_on(
    event: Accepted | Refused, refusal: Failure | None, view: View[Accounts], changes: tuple[Record, ...]
) -> Outcome:
    ticket = event.ticket.stamped("limit", view.now_ms)
    if isinstance(event, Refused):
        return Finish(_refusal(ticket, event.failure), changes)
    if refusal is not None:
        return Finish(_refusal(ticket, refusal), changes)
    summary = summarized(event)
    admitted = Admitted(
        ticket=ticket,
        prompt=event.prompt,
        input_tokens=event.input_tokens,
        namespace=summary.namespace,
        summary=summary,
    )
    return Forward((Record(ADMITTED, summary.namespace, admitted), *changes))


def _refusal(ticket: Ticket, failure: Failure) -> Completion:
    status: Status = "expired" if failure.code == "deadline_exceeded" else "rejected"
    return Completion(ticket=ticket, status=status, failure=failure)


def _settle(row: CallOutline, view: View[Accounts]) -> Outcome:
    """Replaces the tokens held for a request by what its calls really used; each attempt counts once.

    A meter that held none, because it was configured since, is only charged. Only priced rows count: an attempt that is
    settled is followed by another, and what is held is held for that one.
    """
    known = view.state.registered(row.tenant_id, row.request_id)
    tenant = view.control.tenants.get(row.tenant_id)
    if row.phase != "priced" or known is None or tenant is None:
        return Absorb("nothing to settle", is_routine=True)
    if known.has_settled(row.attempt_id) or (not known.held.tokens and not row.usage.total_tokens):
        return Absorb("settled before")
    used, now_us = row.usage.total_tokens, view.delivery.timestamp_ms * 1000
    settled = known.settling(row.attempt_id)
    changes: list[Record] = [_account_record(settled.record(row.tenant_id, row.request_id))]
    for user_id, limits in limited(tenant, known.user_id):
        held_until_us = known.held.tenant_until_us if user_id is None else known.held.user_until_us
        held = known.held.tokens if held_until_us else 0
        for unit, rate in rates_of(limits):
            key = MeterKey(row.tenant_id, user_id, unit)
            arrival_us = view.state.arrival_us(key)
            if unit == "tokens" and arrival_us is not None:
                settled_us = settle(rate, arrival_us, used - held, held_until_us, now_us)
                changes.append(_account_record(key.meter(settled_us)))
    return Forward(tuple(changes))


def _account_record(change: Meter | Registration) -> Record:
    match change:
        case Meter():
            key = f"meter/{change.tenant_id}/{change.user_id or ''}/{change.unit}"
        case Registration():
            key = f"id/{change.tenant_id}/{change.request_id}"
        case _ as unreachable:
            assert_never(unreachable)
    return Record(ACCOUNTS, key, change, partition_by=change.tenant_id)


def _read(topic: Topic, delivery: Delivery) -> Accepted | Refused | CallOutline:
    return CallOutline.decode(delivery.value or b"") if topic is CALLS else read_event(topic, delivery)


STAGE: Stage[Accepted | Refused | CallOutline, Accounts] = Stage(
    name="limit",
    reads=(VALIDATED, CALLS),
    writes=(ADMITTED, ACCOUNTS),
    decide=decide,
    parse=_read,
    state=Accounts,
    table=ACCOUNTS,
    changelog_first=True,
)
