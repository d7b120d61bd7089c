"""May this tenant, and this user, ask now? And has this request id been used before?

One worker owns all of a tenant's events, so its limits cannot race. The time that counts is the record's own, so a
replay decides the same.
"""

from collections.abc import Mapping
from typing import assert_never

from schemas.account import Meters, Registration
from schemas.call import CallOutline
from schemas.flow import Accepted, Admitted, Completion, Refused, Ticket
from schemas.response import Failure, Status
from schemas.topics import ACCOUNTS, ADMITTED, ALERTS, BUDGETS, CALLS, VALIDATED, Topic
from streams.gcra import settle
from streams.limits import NO_CHARGE, Charge, demands_of, limited, token_rate, weigh
from streams.questions import summarized
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import Absorb, DeadLetter, Finish, Forward, Outcome, Record
from streams.runtime.stage import Stage, View, read_event
from streams.state.accounts import Accounts
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
            return _register(event, view, event.failure, NO_CHARGE)
        case Accepted():
            tenant_id = event.ticket.tenant_id or ""
            demands = demands_of(event, view.control.tenants.get(tenant_id))
            verdict = weigh(demands, view.state, tenant_id, view.delivery.timestamp_ms)
            if isinstance(verdict, Failure):
                return _register(event, view, verdict, NO_CHARGE)
            return _register(event, view, None, verdict)
        case _ as unreachable:
            assert_never(unreachable)


def _register(event: Accepted | Refused, view: View[Accounts], refusal: Failure | None, charge: Charge) -> Outcome:
    """The id and what it is charged go into one record: neither is ever known without the other."""
    ticket, tenant_id = event.ticket, event.ticket.tenant_id or ""
    tenant_meters, user_meters = _after(charge.meters, view.state, tenant_id, ticket.user_id)
    registration = Registration(
        tenant_id=tenant_id,
        user_id=ticket.user_id,
        request_id=ticket.request_id,
        offset=view.delivery.offset,
        digest=event.digest,
        seen_at_ms=view.delivery.timestamp_ms,
        refusal=refusal,
        reserved_tokens=charge.held.tokens,
        tenant_held_until_us=charge.held.tenant_until_us,
        user_held_until_us=charge.held.user_until_us,
        tenant_meters=tenant_meters,
        user_meters=user_meters,
    )
    return _go_on(event, refusal, view, (_account_record(registration),))


def _after(
    moved: Mapping[str | None, Meters], accounts: Accounts, tenant_id: str, user_id: str | None
) -> tuple[Meters | None, Meters | None]:
    """The meters of the tenant and of the user. Those that have not moved are told too: compaction may leave nothing
    else of the request that moved them.
    """
    whole = moved.get(None) or accounts.meters(tenant_id, None)
    return whole, None if user_id is None else moved.get(user_id) or accounts.meters(tenant_id, user_id)


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
    moved: dict[str | None, Meters] = {}
    for user_id, limits in limited(tenant, known.user_id):
        held_until_us = known.held.tenant_until_us if user_id is None else known.held.user_until_us
        held = known.held.tokens if held_until_us else 0
        rate, meters = token_rate(limits), view.state.meters(row.tenant_id, user_id)
        if rate is not None and meters is not None and meters.tokens_us is not None:
            settled_us = settle(rate, meters.tokens_us, used - held, held_until_us, now_us)
            moved[user_id] = meters.moved("tokens", settled_us)
    after = _after(moved, view.state, row.tenant_id, known.user_id)
    settled = known.settling(row.attempt_id).record(row.tenant_id, row.request_id, *after)
    return Forward((_account_record(settled),))


def _account_record(change: Registration) -> Record:
    key = f"id/{change.tenant_id}/{change.request_id}"
    return Record(ACCOUNTS, key, change, partition_by=change.tenant_id)


def _read(topic: Topic, delivery: Delivery) -> Accepted | Refused | CallOutline:
    return CallOutline.decode(delivery.value or b"") if topic is CALLS else read_event(topic, delivery)


STAGE: Stage[Accepted | Refused | CallOutline, Accounts] = Stage(
    name="limit",
    reads=(VALIDATED, CALLS),
    writes=(ADMITTED, ACCOUNTS, BUDGETS, ALERTS),
    decide=decide,
    parse=_read,
    state=Accounts,
    tables=(ACCOUNTS, BUDGETS),
    changelog_first=True,
)
