"""May this tenant, and this user, ask now? Is there money left for it? And has this request id been used before?

One worker owns all of a tenant's events, so its limits and budgets cannot race. The time that counts is the record's
own, so a replay decides the same.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import assert_never
from urllib.parse import quote

from msgspec.structs import replace

from schemas.account import Account, Meters, Registration
from schemas.call import CallOutline
from schemas.control import Tenant
from schemas.flow import Accepted, Admitted, Completion, Refused, Ticket
from schemas.response import Failure, Status
from schemas.topics import ACCOUNTS, ADMITTED, ALERTS, BUDGETS, CALLS, VALIDATED, Topic
from streams.budgets import NO_BUDGET, Exceeded, Reserved, alerts_at, newly_due, reserve, spend, with_told
from streams.control import BudgetRule
from streams.gcra import settle
from streams.limits import NO_CHARGE, Asker, Charge, Scope, asker_of, demands_of, limited, token_rates, weigh
from streams.limits_stop import stopped
from streams.questions import summarized
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import Absorb, DeadLetter, Finish, Forward, Outcome, Record
from streams.runtime.stage import Stage, View, read_event
from streams.state.accounts import Accounts
from streams.state.registered import AccountKey, Registered, shortened, to_charged

_FREE = -1
_NOTHING = Decimal(0)


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
    return _go_on(event, refusal, view, (_registration_record(registration), *news))


def _used_up(rule: BudgetRule, key: AccountKey, view: View[Accounts]) -> tuple[Record, ...]:
    """The operator is told that a budget has no room, once in its period."""
    account = view.state.spending.account(key)
    due = tuple(newly_due(rule, account, is_used_up=True))
    told = with_told(account, rule.usd, due, VALIDATED.name, view.delivery.offset)
    return _account_records(rule, told, VALIDATED, view) if due else ()


def _told_again(known: Registered, view: View[Accounts]) -> tuple[Record, ...]:
    """What a refusal told when it was decided: an alert may not have left before the crash."""
    if known.refusal is None or known.refusal.code != "budget_exceeded":
        return ()
    return tuple(
        record
        for key in known.charged
        if (rule := _rule_of(key, view)) is not None
        for record in _used_up(rule, key, view)
        or _account_records(rule, view.state.spending.account(key), VALIDATED, view)
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


def _settle(row: CallOutline, view: View[Accounts]) -> Outcome:
    """Replaces what is held for a request by what its calls really used and cost; each attempt counts once.

    Only priced rows count: an attempt that is settled is followed by another, and what is held is held for that one.
    """
    known = view.state.registered(row.tenant_id, row.request_id)
    if row.phase != "priced" or known is None:
        return _nothing_to_settle(row, view)
    if known.has_settled(row.attempt_id):
        return _settled_before(row, known, view)
    is_about_money = bool(known.charged)
    if not is_about_money and not known.held.tokens and not row.usage.total_tokens:
        return Absorb("settled before")
    tenant = view.control.tenants.get(row.tenant_id)
    if tenant is None and not is_about_money:
        return Absorb("nothing to settle", is_routine=True)
    asker = Asker(row.tenant_id, known.user_id, known.model)
    moved = {} if tenant is None else _settled_meters(row, known, tenant, asker, view)
    closed_offset = None
    if row.is_final and is_about_money:
        closed_offset = view.delivery.offset if _amount(row, known)[0] else _FREE
    settled = known.settling(row.attempt_id, view.delivery.offset, closed_offset=closed_offset)
    record = _told_of(settled, row, asker, view, moved)
    return Forward((_registration_record(record), *(_spent(row, known, view) if is_about_money else ())))


def _nothing_to_settle(row: CallOutline, view: View[Accounts]) -> Outcome:
    is_missed = row.phase == "priced" and bool(row.cost.total_usd) and row.tenant_id in view.control.budget_index
    if is_missed:
        return Absorb("its request is forgotten: no budget counts what it cost")
    return Absorb("nothing to settle", is_routine=True)


def _settled_before(row: CallOutline, known: Registered, view: View[Accounts]) -> Outcome:
    if known.charged and known.was_settled_by(row.attempt_id, view.delivery.offset):
        return Forward(_spent(row, known, view))  # taken again: not all of it may be written
    if row.is_final and known.is_open:  # all it cost is counted: nothing need be held
        asker = Asker(row.tenant_id, known.user_id, known.model)
        return Forward((_registration_record(_told_of(replace(known, closed_offset=_FREE), row, asker, view, {})),))
    return Absorb("settled before")


def _told_of(
    known: Registered, row: CallOutline, asker: Asker, view: View[Accounts], moved: Mapping[Scope, Meters]
) -> Registration:
    return known.record(
        row.tenant_id,
        row.request_id,
        moved.get("tenant") or asker.meters(view.state, "tenant"),
        moved.get("user") or asker.meters(view.state, "user"),
        moved.get("model") or asker.meters(view.state, "model"),
    )


def _settled_meters(
    row: CallOutline, known: Registered, tenant: Tenant, asker: Asker, view: View[Accounts]
) -> dict[Scope, Meters]:
    """A meter that held none, because it was configured since, is only charged."""
    used, now_us = row.usage.total_tokens, view.delivery.timestamp_ms * 1000
    moved: dict[Scope, Meters] = {}
    for scope, limits in limited(tenant, known.user_id, known.model):
        for unit, rate in token_rates(limits):
            meters = moved.get(scope) or asker.meters(view.state, scope)
            stand_us = None if meters is None else meters.of(unit)
            if meters is None or stand_us is None:
                continue
            until_us = known.held.until_us(scope, unit)
            held = known.held.tokens if until_us else 0
            moved[scope] = meters.moved(unit, settle(rate, stand_us, used - held, until_us, now_us))
    return moved


def _spent(row: CallOutline, known: Registered, view: View[Accounts]) -> tuple[Record, ...]:
    """On every account that the request counts on."""
    amount, is_guess = _amount(row, known)
    records: list[Record] = []
    for key in known.charged:
        before = view.state.spending.account(key)
        after = spend(before, amount, is_guess=is_guess, offset=view.delivery.offset) if amount else before
        rule = _rule_of(key, view)
        due = () if rule is None else tuple(newly_due(rule, after, is_used_up=False))
        told = after if rule is None else with_told(after, rule.usd, due, CALLS.name, view.delivery.offset)
        records += _account_records(rule, told, CALLS, view) if told != before or _tells(told, view) else ()
    return tuple(records)


def _amount(row: CallOutline, known: Registered) -> tuple[Decimal, bool]:
    """What a call costs; one whose cost nobody knows, what it is thought to have cost, or else what was held for it."""
    usd = row.cost.total_usd
    if usd is None:
        return row.cost.estimated_usd or known.held_usd or _NOTHING, True
    return max(usd, _NOTHING), False


def _tells(account: Account, view: View[Accounts]) -> bool:
    """Whether something was told at this very row: it is told again when the row is taken again."""
    return any((told.topic, told.offset) == (CALLS.name, view.delivery.offset) for told in account.told)


def _rule_of(key: AccountKey, view: View[Accounts]) -> BudgetRule | None:
    """None for a budget that was removed since."""
    rules = view.control.budget_index.get(key.tenant_id, ())
    return next((rule for rule in rules if rule.budget.name == key.budget), None)


def _account_records(
    rule: BudgetRule | None, account: Account, cause: Topic, view: View[Accounts]
) -> tuple[Record, ...]:
    # what people name may hold a slash, and two accounts under one key would compact each other away
    key = f"{account.tenant_id}/{account.period}/{quote(account.budget, safe='')}/{quote(account.subject, safe='')}"
    own = Record(BUDGETS, key, account, partition_by=account.tenant_id)
    if rule is None:
        return (own,)
    at_ms = view.delivery.timestamp_ms
    alerts = alerts_at(account, cause.name, view.delivery.offset, at_ms)
    return (own, *(Record(ALERTS, alert.subject, alert) for alert in alerts))


def _registration_record(change: Registration) -> Record:
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
    tables=(BUDGETS, ACCOUNTS),
    changelog_first=True,
)
