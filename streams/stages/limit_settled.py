"""What a row of `llm.calls` changes: held tokens and money give way to what was used and what it cost."""

from collections.abc import Mapping
from decimal import Decimal

from msgspec.structs import replace

from schemas.account import Account, Meters, Registration
from schemas.call import CallOutline
from schemas.control import Tenant
from schemas.topics import CALLS
from streams.budgets import newly_due, spend, with_told
from streams.gcra import settle
from streams.limits import Asker, Scope, limited, token_rates
from streams.runtime.outcome import Absorb, Forward, Outcome, Record
from streams.runtime.stage import View
from streams.stages.limit_records import account_records, registration_record, rule_of
from streams.state.accounts import Accounts
from streams.state.registered import Registered

_FREE = -1
_NOTHING = Decimal(0)


def settle_row(row: CallOutline, view: View[Accounts]) -> Outcome:
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
