"""Whether what `limit` keeps of spending is what history says, and what a budget was used up by. No Kafka here."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from schemas.account import Account, Registration
from schemas.call import CallRow
from schemas.money import Budget
from scripts.cli.account_tables import charged
from streams.cost.amount import plain
from streams.state.registered import AccountKey
from streams.state.spending import period_of

NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Row:
    """A priced row of `llm.calls`, and where it is."""

    offset: int
    row: CallRow


@dataclass(frozen=True, slots=True)
class Checked:
    """`history_usd` is what the rows say that `limit` has taken; None where what is still there cannot tell."""

    key: AccountKey
    account_usd: Decimal
    history_usd: Decimal | None

    @property
    def agrees(self) -> bool:
        return self.history_usd is None or self.history_usd == self.account_usd


def checked(
    accounts: Mapping[AccountKey, Account],
    registrations: Mapping[tuple[str, str], Registration],
    budgets: Mapping[str, Budget],
    rows: Iterable[Row],
    history_from_ms: int,
) -> list[Checked]:
    """Each attempt counts once, by its first row, as `limit` counts it. Rows that it has not come to yet do not."""
    sums: dict[AccountKey, Decimal] = defaultdict(Decimal)
    counted: set[tuple[str, str]] = set()
    forgotten: set[str] = set()
    for each in rows:
        attempt = (each.row.tenant_id, each.row.attempt_id)
        if attempt in counted:
            continue
        counted.add(attempt)
        known = registrations.get((each.row.tenant_id, each.row.request_id))
        if known is None:
            forgotten.add(each.row.tenant_id)
        usd = amount(each.row, known)
        for key in accounts_of(each.row, known, budgets):
            account = accounts.get(key)
            if account is not None and account.first_offset <= each.offset < account.calls_offset:
                sums[key] += usd
    found: list[Checked] = []
    for key, account in sorted(accounts.items()):
        # of a request that limit has forgotten, nobody can say for sure on which accounts it counted, or with what
        may_differ = key.tenant_id in forgotten and sums[key] != account.spent_usd
        can_tell = _begins_ms(key) >= history_from_ms and not may_differ
        found.append(Checked(key, account.spent_usd, sums[key] if can_tell else None))
    return found


def amount(row: CallRow, known: Registration | None) -> Decimal:
    """A call whose cost nobody knows counts with what it is thought to have cost, or else was held for it."""
    if row.cost.total_usd is not None:
        return row.cost.total_usd
    return row.cost.estimated_usd or (known.held_usd if known is not None else None) or NOTHING


def accounts_of(row: CallRow, known: Registration | None, budgets: Mapping[str, Budget]) -> Iterator[AccountKey]:
    """By its registration; by the budgets of today where that is forgotten, after a day or two."""
    if known is not None:
        yield from charged(known)
        return
    for budget in budgets.values():
        if budget.tenant != row.tenant_id or budget.period is None or row.admitted_at_ms is None:
            continue
        subject = {"tenant": "", "user": row.user_id, "label": row.labels.get(budget.label or "")}.get(budget.scope)
        if subject is not None:
            yield AccountKey(row.tenant_id, budget.name, subject, period_of(budget.period, row.admitted_at_ms))


def _begins_ms(key: AccountKey) -> int:
    year, month, *day = map(int, key.period.split("-"))
    return round(datetime(year, month, day[0] if day else 1, tzinfo=UTC).timestamp() * 1_000)


@dataclass(frozen=True, slots=True)
class Share:
    """Of what was spent of an account: who or what it was spent on."""

    what: str
    usd: Decimal
    calls: int


def shares(
    key: AccountKey,
    registrations: Mapping[tuple[str, str], Registration],
    budgets: Mapping[str, Budget],
    rows: Iterable[Row],
    until_ms: int,
) -> dict[str, list[Share]]:
    """By feature, user and model, dearest first, of calls that were priced by then."""
    sums: dict[tuple[str, str], list[Decimal]] = defaultdict(list)
    counted: set[str] = set()
    for each in rows:
        row = each.row
        ended_ms = row.published_at_ms or row.completed_at_ms or row.produced_at_ms
        if row.attempt_id in counted or ended_ms > until_ms:
            continue
        known = registrations.get((row.tenant_id, row.request_id))
        if key not in accounts_of(row, known, budgets) or not (usd := amount(row, known)):
            continue
        counted.add(row.attempt_id)
        for by, what in (("feature", row.feature), ("user", row.user_id), ("model", row.model_used)):
            sums[by, what or "(none)"].append(usd)
    found: dict[str, list[Share]] = {"feature": [], "user": [], "model": []}
    for (by, what), usds in sums.items():
        found[by].append(Share(what, sum(usds, NOTHING), len(usds)))
    return {by: sorted(each, key=lambda share: (-share.usd, share.what)) for by, each in found.items()}


def stopped(
    registrations: Iterable[Registration], at_ms: int | None, request_id: str | None, window_ms: int
) -> list[Registration]:
    """Refusals, oldest first: of one request, or of all within the window around a point in time."""
    found = [
        each
        for each in registrations
        if each.refusal is not None
        and (request_id is None or each.request_id == request_id)
        and (at_ms is None or abs(each.seen_at_ms - at_ms) <= window_ms)
    ]
    return sorted(found, key=lambda each: (each.seen_at_ms, each.request_id))


def shown_usd(usd: Decimal | None) -> str:
    return "" if usd is None else plain(usd)
