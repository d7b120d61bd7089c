"""What becomes of a request that `limit` has decided about: its registration, and whatever must be written with it."""

from typing import assert_never

from schemas.account import Registration
from schemas.flow import Accepted, Admitted, Completion, Refused, Ticket
from schemas.notice import Notice, NoticeState
from schemas.response import Failure, Status
from schemas.topics import ADMITTED, DEFERRED, NOTICES, VALIDATED, Topic
from streams.budgets import NO_BUDGET, Exceeded, Reserved, newly_due, reserve, with_told
from streams.control import BudgetRule
from streams.deferral import estimated_wait_ms
from streams.limits import NO_CHARGE, Charge, asker_of, tokens_of
from streams.questions import summarized
from streams.runtime.outcome import Finish, Forward, Outcome, Record
from streams.runtime.stage import View
from streams.stages.limit_records import account_records, registration_record, rule_of
from streams.state.accounts import Accounts
from streams.state.registered import AccountKey, Registered, to_charged


def let_in(event: Accepted, view: View[Accounts], charge: Charge, now_ms: int, known: Registered | None) -> Outcome:
    """As far as limits go: if its budgets have room for it."""
    found = reserve(event, view.control, view.state.spending, now_ms)
    match found:
        case Reserved():
            return register(event, view, None, charge, found, known=known)
        case Exceeded(failure, rule, account):
            if account is None:
                return register(event, view, failure, known=known)
            charged = Reserved(None, (account,))
            news = _used_up(rule, account, _cause(known), view)
            return register(event, view, failure, NO_CHARGE, charged, news, known=known)
        case _ as unreachable:
            assert_never(unreachable)


def register(
    event: Accepted | Refused,
    view: View[Accounts],
    refusal: Failure | None,
    charge: Charge = NO_CHARGE,
    reserved: Reserved = NO_BUDGET,
    news: tuple[Record, ...] = (),
    *,
    known: Registered | None = None,
) -> Outcome:
    """The id and what it is charged go into one record: neither is ever known without the other. `known` is what it
    waited under until now.
    """
    registered = registration(event, view, refusal, charge, reserved, known)
    if known is not None and refusal is None and isinstance(event, Accepted):
        news = (*news, _admitted_notice(event, known, view))
    return go_on(event, refusal, view, (registration_record(registered), *news))


def registration(
    event: Accepted | Refused,
    view: View[Accounts],
    refusal: Failure | None,
    charge: Charge = NO_CHARGE,
    reserved: Reserved = NO_BUDGET,
    known: Registered | None = None,
) -> Registration:
    ticket, tenant_id = event.ticket, event.ticket.tenant_id or ""
    asker = asker_of(view.control.tenants.get(tenant_id), tenant_id, ticket.user_id, ticket.model)
    return Registration(
        tenant_id=tenant_id,
        user_id=ticket.user_id,
        request_id=ticket.request_id,
        offset=view.delivery.offset if known is None else known.offset,
        digest=event.digest,
        seen_at_ms=view.delivery.timestamp_ms if known is None else known.seen_at_ms,
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
        deferred_offset=None if known is None else view.delivery.offset,
    )


def _cause(known: Registered | None) -> Topic:
    """Of which topic the record is that decides now."""
    return VALIDATED if known is None or known.deferred_until_ms is None else DEFERRED


def _used_up(rule: BudgetRule, key: AccountKey, cause: Topic, view: View[Accounts]) -> tuple[Record, ...]:
    """The operator is told that a budget has no room, once in its period."""
    account = view.state.spending.account(key)
    due = tuple(newly_due(rule, account, is_used_up=True))
    told = with_told(account, rule.usd, due, cause.name, view.delivery.offset)
    return account_records(rule, told, cause, view) if due else ()


def told_again(known: Registered, view: View[Accounts]) -> tuple[Record, ...]:
    """What a refusal told when it was decided: an alert may not have left before the crash."""
    if known.refusal is None or known.refusal.code != "budget_exceeded":
        return ()
    cause = VALIDATED if known.deferred_offset is None else DEFERRED
    return tuple(
        record
        for key in known.charged
        if (rule := rule_of(key, view)) is not None
        for record in _used_up(rule, key, cause, view)
        or account_records(rule, view.state.spending.account(key), cause, view)
    )


def go_on(
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


def deferred_notice(event: Accepted, until_ms: int, view: View[Accounts]) -> Record:
    ticket, tenant = event.ticket, view.control.tenants.get(event.ticket.tenant_id or "")
    asker = asker_of(tenant, ticket.tenant_id or "", ticket.user_id, ticket.model)
    crowd = view.state.waiting.of(asker.tenant_id)
    known = view.state.registered(asker.tenant_id, ticket.request_id)
    offset = None if known is None else known.offset
    wait_ms = estimated_wait_ms(crowd, tenant, asker, tokens_of(event), view.state, view.now_ms, offset)
    reason = "over a limit of its tenant, user or model: it waits, in order, until it fits"
    return _notice(event.ticket, "deferred", reason, until_ms, view.now_ms, estimated_wait_ms=max(wait_ms, 0))


def _admitted_notice(event: Accepted, known: Registered, view: View[Accounts]) -> Record:
    waited_ms = max(view.now_ms - known.seen_at_ms, 0)
    until_ms = known.deferred_until_ms or view.now_ms
    return _notice(event.ticket, "admitted", "its limits take it now", until_ms, view.now_ms, waited_ms=waited_ms)


def _notice(
    ticket: Ticket,
    state: NoticeState,
    reason: str,
    until_ms: int,
    now_ms: int,
    *,
    estimated_wait_ms: int = 0,
    waited_ms: int = 0,
) -> Record:
    notice = Notice(
        request_id=ticket.request_id,
        tenant_id=ticket.tenant_id or "",
        priority=ticket.priority,
        state=state,
        reason=reason,
        estimated_wait_ms=estimated_wait_ms,
        waited_ms=waited_ms,
        until_ms=until_ms,
        at_ms=now_ms,
    )
    return Record(NOTICES, ticket.request_id, notice)
