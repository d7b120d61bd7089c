"""May this tenant, and this user, ask now? Is there money left for it? And has this request id been used before?

One worker owns all of a tenant's events, so its limits and budgets cannot race. The time that counts is the record's
own, so a replay decides the same.
"""

from typing import assert_never

from schemas.account import Registration
from schemas.call import CallOutline
from schemas.flow import Accepted, Admitted, Completion, Refused, Ticket
from schemas.response import Failure, Status
from schemas.topics import ACCOUNTS, ADMITTED, ALERTS, BUDGETS, CALLS, VALIDATED, Topic
from streams.budgets import NO_BUDGET, Exceeded, Reserved, newly_due, reserve, with_told
from streams.control import BudgetRule
from streams.limits import NO_CHARGE, Charge, asker_of, demands_of, weigh
from streams.limits_stop import stopped
from streams.questions import summarized
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import Absorb, DeadLetter, Finish, Forward, Outcome, Record
from streams.runtime.stage import Stage, View, read_event
from streams.stages.limit_records import account_records, registration_record, rule_of
from streams.stages.limit_settled import settle_row
from streams.state.accounts import Accounts
from streams.state.registered import AccountKey, Registered, shortened, to_charged


def decide(event: Accepted | Refused | CallOutline, view: View[Accounts]) -> Outcome:
    match event:
        case Accepted() | Refused():
            return _admit(event, view)
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
        return _go_on(event, known.refusal, view, _told_again(known, view))
    if known.digest == shortened(event.digest):
        return Absorb("request_id repeated with the same content: its one response answers both")
    return DeadLetter(
        "request_id_reused",
        f"request_id of tenant {tenant_id} was used before for other content; it is answered once: send a new id",
    )


def _first_sight(event: Accepted | Refused, view: View[Accounts]) -> Outcome:
    match event:
        case Refused():
            return _register(event, view, event.failure)
        case Accepted():
            return _weighed(event, view)
        case _ as unreachable:
            assert_never(unreachable)


def _weighed(event: Accepted, view: View[Accounts]) -> Outcome:
    """Limits and budgets take the request, or none of them does."""
    tenant_id, now_ms = event.ticket.tenant_id or "", view.delivery.timestamp_ms
    stop = stopped(view.control, tenant_id, now_ms)
    if stop is not None:
        return _register(event, view, stop)
    tenant = view.control.tenants.get(tenant_id)
    asker = asker_of(tenant, tenant_id, event.ticket.user_id, event.ticket.model)
    charge = weigh(demands_of(event, tenant), view.state, asker, now_ms)
    if isinstance(charge, Failure):
        return _register(event, view, charge)
    found = reserve(event, view.control, view.state.spending, now_ms)
    match found:
        case Reserved():
            return _register(event, view, None, charge, found)
        case Exceeded(failure, rule, account):
            if account is None:
                return _register(event, view, failure)
            charged = Reserved(None, (account,))
            return _register(event, view, failure, NO_CHARGE, charged, _used_up(rule, account, view))
        case _ as unreachable:
            assert_never(unreachable)


def _register(
    event: Accepted | Refused,
    view: View[Accounts],
    refusal: Failure | None,
    charge: Charge = NO_CHARGE,
    reserved: Reserved = NO_BUDGET,
    news: tuple[Record, ...] = (),
) -> Outcome:
    """The id and what it is charged go into one record: neither is ever known without the other."""
    ticket, tenant_id = event.ticket, event.ticket.tenant_id or ""
    asker = asker_of(view.control.tenants.get(tenant_id), tenant_id, ticket.user_id, ticket.model)
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
        held_until_us=dict(charge.held.others_until_us),
        # those that have not moved are told too: compaction may leave nothing else of the request that moved them
        tenant_meters=charge.meters.get("tenant") or asker.meters(view.state, "tenant"),
        user_meters=charge.meters.get("user") or asker.meters(view.state, "user"),
        model=asker.model,
        model_meters=charge.meters.get("model") or asker.meters(view.state, "model"),
        held_usd=reserved.usd,
        charged=to_charged(reserved.accounts),
    )
    return _go_on(event, refusal, view, (registration_record(registration), *news))


def _used_up(rule: BudgetRule, key: AccountKey, view: View[Accounts]) -> tuple[Record, ...]:
    """The operator is told that a budget has no room, once in its period."""
    account = view.state.spending.account(key)
    due = tuple(newly_due(rule, account, is_used_up=True))
    told = with_told(account, rule.usd, due, VALIDATED.name, view.delivery.offset)
    return account_records(rule, told, VALIDATED, view) if due else ()


def _told_again(known: Registered, view: View[Accounts]) -> tuple[Record, ...]:
    """What a refusal told when it was decided: an alert may not have left before the crash."""
    if known.refusal is None or known.refusal.code != "budget_exceeded":
        return ()
    return tuple(
        record
        for key in known.charged
        if (rule := rule_of(key, view)) is not None
        for record in _used_up(rule, key, view)
        or account_records(rule, view.state.spending.account(key), VALIDATED, view)
    )


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


def _read(topic: Topic, delivery: Delivery) -> Accepted | Refused | CallOutline:
    return CallOutline.decode(delivery.value or b"") if topic is CALLS else read_event(topic, delivery)


STAGE: Stage[Accepted | Refused | CallOutline, Accounts] = Stage(
    name="limit",
    reads=(VALIDATED, CALLS),
    writes=(ADMITTED, ACCOUNTS, BUDGETS, ALERTS),
    decide=decide,
    parse=_read,
    state=Accounts,
    tables=(BUDGETS, ACCOUNTS),
    changelog_first=True,
)
