"""The tables of `limit` as they stand on Kafka: what was decided about requests, and what was spent of budgets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from schemas.account import Account, Registration
from schemas.topics import ACCOUNTS, BUDGETS, Topic
from schemas.wire import DecodeError
from scripts.cli.kafka import LiveCluster
from scripts.cli.topic_reader import TopicReader
from streams.runtime.delivery import Delivery
from streams.state.accounts import Accounts
from streams.state.registered import AccountKey


@dataclass
class Tables:
    """`registrations` by tenant and request id, `accounts` by key: the newest of each."""

    registrations: dict[tuple[str, str], Registration] = field(default_factory=dict[tuple[str, str], Registration])
    accounts: dict[AccountKey, Account] = field(default_factory=dict[AccountKey, Account])
    state: Accounts = field(default_factory=Accounts)


def read_tables(cluster: LiveCluster, tenant: str | None, now_ms: int) -> Tables:
    """Of one tenant, or of all. Raises Fault. Records that cannot be read are passed over, as `limit` does."""
    tables = Tables()
    for topic in (BUDGETS, ACCOUNTS):
        with TopicReader(cluster, topic) as reader:
            fold(tables, topic, reader.read(reader.spans()), tenant, now_ms)
    return tables


def fold(tables: Tables, topic: Topic, records: Iterable[Delivery], tenant: str | None, now_ms: int) -> None:
    if topic.events is None:
        return
    for record in records:
        try:
            event = topic.events.decode(record.value or b"")
        except DecodeError:
            continue
        if tenant is not None and event.tenant_id != tenant:
            continue
        tables.state.apply(event, now_ms)
        match event:
            case Account():
                tables.accounts[key_of(event)] = event
            case Registration():
                tables.registrations[event.tenant_id, event.request_id] = event
            case _:  # a meter of an older process: it is no account
                pass


def key_of(account: Account) -> AccountKey:
    return AccountKey(account.tenant_id, account.budget, account.subject, account.period)


def charged(registration: Registration) -> Sequence[AccountKey]:
    return [AccountKey(registration.tenant_id, each.budget, each.subject, each.period) for each in registration.charged]
