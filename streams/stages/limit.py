"""May this tenant, and this user, ask now? Is there money left for it? And has this request id been used before?

One worker owns all of a tenant's events, so its limits and budgets cannot race. The time that counts is the record's
own, so a replay decides the same; for those that wait on `llm.deferred`, see `streams.deferral`.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import assert_never

from msgspec.structs import replace

from schemas.account import Account, Meters, Registration
from schemas.base import Event
from schemas.call import CallOutline
from schemas.control import Tenant
from schemas.flow import Accepted, Deferred, Refused, Ticket
from schemas.notice import Notice
from schemas.response import Failure
from schemas.topics import ACCOUNTS, ADMITTED, ALERTS, BUDGETS, CALLS, DEFERRED, NOTICES, VALIDATED, Topic
from streams.admission import account_records, go_on, let_in, register, registration_record, rule_of, told_again
from streams.budgets import newly_due, spend, with_told
from streams.deferral import deferring, is_behind, waited_too_long
from streams.deferring import defer, wait_on, waiting_records
from streams.gcra import settle
from streams.limits import (
    Asker,
    Charge,
    Scope,
    Short,
    asker_of,
    demands_of,
    limited,
    token_rates,
    too_soon,
    weigh,
)
from streams.limits_stop import stopped
from streams.observe.metrics import Metrics
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import Absorb, DeadLetter, Forward, Outcome, Record
from streams.runtime.stage import Stage, View, read_event
from streams.state.accounts import Accounts
from streams.state.registered import Registered, shortened

_FREE = -1
_NOTHING = Decimal(0)

Asked = Accepted | Refused | Deferred | CallOutline


def decide(event: Asked, view: View[Accounts]) -> Outcome:
    match event:
        case Accepted() | Refused():
            return _admit(event, view)
        case Deferred():
            return wait_on(event, view)
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
    """Limits and budgets take the request, or none of them does."""
    tenant_id, now_ms = event.ticket.tenant_id or "", view.delivery.timestamp_ms
    hindrance = _hindrance(event.ticket, view)
    if hindrance is not None:
        return register(event, view, hindrance)
    tenant = view.control.tenants.get(tenant_id)
    asker = asker_of(tenant, tenant_id, event.ticket.user_id, event.ticket.model)
    patient = deferring(tenant)
    crowd = view.state.waiting.of(tenant_id) if patient is not None else None
    asked_at = view.delivery.offset
    if patient is not None and crowd is not None and is_behind(crowd, patient, asker, asked_at, view.state, now_ms):
        return defer(event, patient, asker, view)
    charge = weigh(demands_of(event, tenant), view.state, asker, now_ms)
    match charge:
        case Charge():
            return let_in(event, view, charge, now_ms, None)
        case Short(demand, wait_ms):
            if patient is not None:
                return defer(event, patient, asker, view)
            return register(event, view, too_soon(demand, wait_ms))
        case Failure():
            return register(event, view, charge)
        case _ as unreachable:
            assert_never(unreachable)


def _hindrance(ticket: Ticket, view: View[Accounts]) -> Failure | None:
    """What stands against it, whatever its limits say."""
    if ticket.deadline_ms is not None and ticket.deadline_ms <= view.now_ms:
        return waited_too_long(ticket)
    return stopped(view.control, ticket.tenant_id or "", view.delivery.timestamp_ms)


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
    has_waited = known.deferred_until_ms is not None or known.deferred_offset is not None
    if not is_about_money and not has_waited and not known.held.tokens and not row.usage.total_tokens:
        return Absorb("settled before")
    tenant = view.control.tenants.get(row.tenant_id)
    if tenant is None and not is_about_money and not has_waited:
        return Absorb("nothing to settle", is_routine=True)
    asker = Asker(row.tenant_id, known.user_id, known.model)
    moved = {} if tenant is None else _settled_meters(row, known, tenant, asker, view)
    closed_offset = None
    if row.is_final and is_about_money:
        closed_offset = view.delivery.offset if _amount(row, known)[0] else _FREE
    settled = known.settling(row.attempt_id, view.delivery.offset, closed_offset=closed_offset)
    if known.deferred_until_ms is not None:  # its record could not be handled: it must not wait there for ever
        settled = replace(settled, deferred_until_ms=None, deferred_offset=_FREE)
    record = _told_of(settled, row, asker, view, moved)
    return Forward((registration_record(record), *(_spent(row, known, view) if is_about_money else ())))


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
        return Forward((registration_record(_told_of(replace(known, closed_offset=_FREE), row, asker, view, {})),))
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
        rule = rule_of(key, view)
        due = () if rule is None else tuple(newly_due(rule, after, is_used_up=False))
        told = after if rule is None else with_told(after, rule.usd, due, CALLS.name, view.delivery.offset)
        records += account_records(rule, told, CALLS, view) if told != before or _tells(told, view) else ()
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
