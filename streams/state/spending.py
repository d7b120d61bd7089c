"""What a partition's tenants have spent of their budgets, and what is held for requests that are under way."""

from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from msgspec import Struct

from schemas.account import Account
from streams.state.registered import AccountKey, Registered

HELD_MS = 24 * 3_600_000
"""What is held for a request whose end nobody heard of is let go after that: longer than a backlog lasts, and not for
ever."""
_DAY_MS = 86_400_000
_KEPT = timedelta(days=2)
"""Rows of a period's last requests come after it has ended."""
NOTHING = Decimal(0)


class Hold(Struct, frozen=True):
    usd: Decimal
    until_ms: int


class Spending:
    """Holds are not stored: they follow from the registrations, so what is held cannot drift from them.

    What a request cost is counted before what was held for it is let go, also when only one of the two could be written
    before a crash: at no time is there room for what is already spent.
    """

    def __init__(self) -> None:
        self._accounts: dict[AccountKey, Account] = {}
        self._holds: OrderedDict[tuple[bytes, AccountKey], Hold] = OrderedDict()  # oldest first
        self._held: dict[AccountKey, Decimal] = {}
        self._closing: dict[AccountKey, list[tuple[int, bytes]]] = {}
        self._day = 0

    def __len__(self) -> int:
        return len(self._accounts) + len(self._holds)

    def account(self, key: AccountKey) -> Account:
        """Empty where nothing was ever spent."""
        return self._accounts.get(key) or Account(
            tenant_id=key.tenant_id,
            budget=key.budget,
            subject=key.subject,
            period=key.period,
            spent_usd=NOTHING,
            guessed_usd=NOTHING,
            first_offset=0,
            calls_offset=0,
        )

    def held_usd(self, key: AccountKey, now_ms: int) -> Decimal:
        self._expire(now_ms)
        return self._held.get(key, NOTHING)

    def held_accounts(self, now_ms: int) -> list[AccountKey]:
        return [key for key in list(self._held) if self.held_usd(key, now_ms)]

    def take_in(self, account: Account) -> None:
        key = AccountKey(account.tenant_id, account.budget, account.subject, account.period)
        self._accounts[key] = account
        closing = self._closing.pop(key, ())
        for closed_offset, registration in closing:
            if closed_offset < account.calls_offset:
                self._let_go(registration, key)
        if left := [each for each in closing if each[0] >= account.calls_offset]:
            self._closing[key] = left

    def hold(self, registration: bytes, known: Registered, now_ms: int) -> None:
        """By the events' own time: one that is too old by then holds nothing any more."""
        if not known.held_usd or known.seen_at_ms + HELD_MS <= now_ms:
            return
        for key in known.charged:
            closed_offset = known.closed_offset
            if closed_offset is not None and closed_offset < self.account(key).calls_offset:
                self._let_go(registration, key)
                continue
            if (registration, key) not in self._holds:
                self._holds[registration, key] = Hold(known.held_usd, known.seen_at_ms + HELD_MS)
                self._held[key] = self._held.get(key, NOTHING) + known.held_usd
            if closed_offset is not None:
                self._closing.setdefault(key, []).append((closed_offset, registration))

    def _let_go(self, registration: bytes, key: AccountKey) -> None:
        hold = self._holds.pop((registration, key), None)
        if hold is None:
            return
        left = self._held.get(key, NOTHING) - hold.usd
        if left:
            self._held[key] = left
        else:
            self._held.pop(key, None)

    def _expire(self, now_ms: int) -> None:
        while self._holds:
            whose, oldest = next(iter(self._holds.items()))
            if oldest.until_ms > now_ms:
                break
            self._let_go(*whose)

    def forget_periods(self, now_ms: int) -> None:
        """Looks once a day."""
        today = now_ms // _DAY_MS
        if today == self._day:
            return
        self._day = today
        self._expire(now_ms)
        day = f"{datetime.fromtimestamp(now_ms / 1_000, UTC) - _KEPT:%Y-%m-%d}"
        ended = [key for key in self._accounts if key.period < day[: len(key.period)]]
        for key in ended:
            del self._accounts[key]


def period_of(period: str, at_ms: int) -> str:
    """`day` as 2026-11-28, `month` as 2026-11, UTC."""
    at = datetime.fromtimestamp(at_ms / 1_000, UTC)
    return f"{at:%Y-%m-%d}" if period == "day" else f"{at:%Y-%m}"


def resets_at_ms(period: str, at_ms: int) -> int:
    """When the period that this time is in ends."""
    at = datetime.fromtimestamp(at_ms / 1_000, UTC)
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    next_month = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    end = day + timedelta(days=1) if period == "day" else next_month
    return round(end.timestamp() * 1_000)
