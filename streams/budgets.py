"""What a request may cost, whether its tenant's budgets have room for it, and the answer when they have not.

Room is what is neither spent nor held: a budget is exceeded by no more than the estimates of what is under way.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from schemas.account import Account, Told
from schemas.alert import Alert
from schemas.flow import Accepted, Ticket
from schemas.money import Budget
from schemas.response import Failure
from streams.control import BudgetRule, ControlView
from streams.cost.amount import plain
from streams.questions import needs_in, summarized
from streams.routes import choose_route
from streams.routing.choose import may_be_asked
from streams.routing.qualify import Inquiry
from streams.state.registered import AccountKey
from streams.state.spending import Spending, period_of, resets_at_ms

SOON_MS = 5_000
"""When to ask again where only what is held for others stands in the way."""
_USED_UP = 100
_NOTHING = Decimal(0)


class Reserved(Struct, frozen=True):
    """Room was found. `usd` is None where there is no budget: nothing need be held."""

    usd: Decimal | None
    accounts: tuple[AccountKey, ...]


class Exceeded(Struct, frozen=True):
    """`account` is the one that is used up; None where that is not why: it is too dear for a whole period, or the room
    is held for others.
    """

    failure: Failure
    rule: BudgetRule
    account: AccountKey | None


NO_BUDGET = Reserved(None, ())


def reserve(event: Accepted, control: ControlView, spending: Spending, now_ms: int) -> Reserved | Exceeded:
    """`now_ms` is the event's own time: it says which period it counts in."""
    rules = control.budget_index.get(event.ticket.tenant_id or "", ())
    if not rules:
        return NO_BUDGET
    estimate = estimate_usd(event, control, now_ms)
    accounts: list[AccountKey] = []
    for rule in rules:
        subject = subject_of(rule.budget, event.ticket)
        if subject is None:
            continue
        if estimate is None and rule.budget.when_unpriced == "refuse":
            return Exceeded(_unpriced(rule, event.ticket), rule, None)
        usd = estimate or _NOTHING
        if rule.budget.period is None:
            most = rule.stop_usd + control.override_usd(rule.budget.name, subject, now_ms)
            if usd > most:
                return Exceeded(_too_dear(rule, usd, most), rule, None)
            continue
        key = AccountKey(rule.budget.tenant, rule.budget.name, subject, period_of(rule.budget.period, now_ms))
        spent, held = spending.account(key).spent_usd, spending.held_usd(key, now_ms)
        limit = rule.stop_usd + control.override_usd(rule.budget.name, subject, now_ms)
        if usd > limit:
            return Exceeded(_too_dear(rule, usd, limit), rule, None)
        if spent + held + usd > limit:
            failure = _used_up(rule, key, limit, spent, held, usd, now_ms)
            return Exceeded(failure, rule, key if spent + usd > limit else None)
        accounts.append(key)
    return Reserved(estimate or _NOTHING, tuple(accounts)) if accounts else NO_BUDGET


def estimate_usd(event: Accepted, control: ControlView, now_ms: int) -> Decimal | None:
    """At the dearest target that the request may be put to. None when none of them has a price; 0 when there is no
    target: then nobody will be asked.
    """
    choice = choose_route(control, event.ticket)
    inquiry = inquiry_of(event, now_ms)
    targets = () if choice is None else may_be_asked(choice, inquiry, control)
    if not targets:
        return _NOTHING
    known = [usd for target in targets if (usd := inquiry.usd(control, target)) is not None]
    return max(known, default=None)


def inquiry_of(event: Accepted, at_ms: int) -> Inquiry:
    return Inquiry(
        tenant_id=event.ticket.tenant_id or "",
        identity=event.ticket.identity,
        needs=needs_in(summarized(event)),
        input_tokens=event.input_tokens,
        at_ms=at_ms,
    )


def subject_of(budget: Budget, ticket: Ticket) -> str | None:
    """Whose account of the budget it counts on; None when the budget does not concern it."""
    match budget.scope:
        case "request" | "tenant":
            return ""
        case "user":
            return ticket.user_id
        case "label":
            return ticket.labels.get(budget.label or "")
        case _ as unreachable:
            assert_never(unreachable)


def spend(account: Account, usd: Decimal, *, is_guess: bool, offset: int) -> Account:
    """With a row of `llm.calls` counted; unchanged by one that it has counted before."""
    if offset < account.calls_offset:
        return account
    guessed_usd = account.guessed_usd + usd if is_guess else account.guessed_usd
    return replace(
        account,
        spent_usd=account.spent_usd + usd,
        guessed_usd=guessed_usd,
        first_offset=account.first_offset if account.calls_offset else offset,
        calls_offset=offset + 1,
    )


def newly_due(rule: BudgetRule, account: Account, *, is_used_up: bool) -> Iterator[int]:
    """Thresholds, in percent, that are passed and were not told. With a budget that is used up all to 100 are."""
    told = {each.percent for each in account.told if each.usd == rule.usd}
    for percent in rule.budget.alert_percents:
        is_passed = bool(account.spent_usd) and account.spent_usd * 100 >= rule.usd * percent
        if percent not in told and (is_passed or (is_used_up and percent <= _USED_UP)):
            yield percent


def alerts_at(account: Account, topic: str, offset: int, at_ms: int) -> Sequence[Alert]:
    """Those that became due by this very record, each time it is taken."""
    return [_alert(account, told, at_ms) for told in account.told if (told.topic, told.offset) == (topic, offset)]


def with_told(account: Account, usd: Decimal, percents: Sequence[int], topic: str, offset: int) -> Account:
    if not percents:
        return account
    told = tuple(Told(percent=percent, usd=usd, topic=topic, offset=offset) for percent in percents)
    return replace(account, told=account.told + told)


def _alert(account: Account, told: Told, at_ms: int) -> Alert:
    is_stop = told.percent >= _USED_UP
    passed = account.spent_usd * 100 >= told.usd * told.percent
    state = f"{told.percent} % or more" if passed else "and what is left does not cover the next request"
    return Alert(
        alert_id="/".join(
            (account.tenant_id, account.budget, account.subject, account.period, str(told.percent), plain(told.usd))
        ),
        alert="budget_exhausted" if is_stop else "budget_warning",
        severity="critical" if is_stop else "warning",
        subject=f"budget/{account.budget}",
        message=f"{_whose(account.tenant_id, account.subject)} has spent {plain(account.spent_usd)} USD of the "
        f"{plain(told.usd)} USD that budget {account.budget} allows in {account.period} (UTC), {state}"
        + ("; what does not fit any more is refused" if is_stop else ""),
        value=plain(account.spent_usd),
        threshold=str(told.percent),
        at_ms=at_ms,
    )


def _used_up(
    rule: BudgetRule, key: AccountKey, limit: Decimal, spent: Decimal, held: Decimal, estimate: Decimal, now_ms: int
) -> Failure:
    resets_ms = resets_at_ms(rule.budget.period or "", now_ms)
    fits_later = spent + estimate <= limit
    resets = datetime.fromtimestamp(resets_ms / 1_000, UTC)
    return Failure(
        code="budget_exceeded",
        message=f"budget {key.budget} allows {_whose(key.tenant_id, key.subject)} {plain(limit)} USD in {key.period} "
        f"(UTC): {plain(spent)} are spent, {plain(held)} held for requests under way, and this one may cost "
        f"{plain(estimate)}; it resets at {resets:%Y-%m-%d %H:%M} UTC: "
        + ("send it again when others have ended" if fits_later else "ask for less, or the operator for an override"),
        field=_field(rule.budget),
        retryable=True,
        retry_after_ms=SOON_MS if fits_later else resets_ms - now_ms,
    )


def _too_dear(rule: BudgetRule, estimate: Decimal, limit: Decimal) -> Failure:
    at_once = "for one" if rule.budget.period is None else f"in a whole {rule.budget.period}"
    return Failure(
        code="budget_exceeded",
        message=f"the request may cost {plain(estimate)} USD and budget {rule.budget.name} allows {plain(limit)} "
        f"{at_once}: shorten messages, lower params.max_tokens, or ask a cheaper model",
        field="params.max_tokens",
    )


def _unpriced(rule: BudgetRule, ticket: Ticket) -> Failure:
    return Failure(
        code="unpriced_model",
        message=f"nobody knows what model {ticket.model!r} costs, and budget {rule.budget.name} lets no such request "
        "through: ask another model, or the operator for a price",
        field="model",
    )


def _whose(tenant_id: str, subject: str) -> str:
    return f"{subject} of {tenant_id}" if subject else tenant_id


def _field(budget: Budget) -> str:
    match budget.scope:
        case "request":
            return "params.max_tokens"
        case "tenant":
            return "tenant_id"
        case "user":
            return "user_id"
        case "label":
            return f"labels.{budget.label}"
        case _ as unreachable:
            assert_never(unreachable)
