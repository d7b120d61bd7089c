"""The records in which `limit` keeps what it knows: one for a request, one for an account and what is told of it."""

from urllib.parse import quote

from schemas.account import Account, Registration
from schemas.topics import ACCOUNTS, ALERTS, BUDGETS, Topic
from streams.budgets import alerts_at
from streams.control import BudgetRule
from streams.runtime.outcome import Record
from streams.runtime.stage import View
from streams.state.accounts import Accounts
from streams.state.registered import AccountKey


def rule_of(key: AccountKey, view: View[Accounts]) -> BudgetRule | None:
    """None for a budget that was removed since."""
    rules = view.control.budget_index.get(key.tenant_id, ())
    return next((rule for rule in rules if rule.budget.name == key.budget), None)


def account_records(
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


def registration_record(change: Registration) -> Record:
    key = f"id/{change.tenant_id}/{change.request_id}"
    return Record(ACCOUNTS, key, change, partition_by=change.tenant_id)
