"""The spend rates of one page of rows: what its tenants have spent in the last minute, and who is stopped for it."""

from collections.abc import Callable
from decimal import Decimal

from schemas.money import SpendStop
from streams.watch.draft import Draft
from streams.watch.published import Published
from streams.watch.rate import NORM_MINUTES, norm_usd, stop_for, windows_since
from streams.watch.spend import Spend
from streams.watch.tables import Tables

_MINUTE_MS = 60_000
_LATE_MS = 60_000
"""Rows written longer ago are history: what they say of the rate is over."""


class Norms:
    """Each tenant's normal minute, worked out once a minute: it takes sixty looks into a table."""

    def __init__(self, minutes: Callable[[str, int], Spend]) -> None:
        self._minutes = minutes
        self._known: dict[str, tuple[int, Decimal | None]] = {}

    def of(self, tenant: str, at_ms: int) -> Decimal | None:
        """Of the hour before the last minute, which is the one that is judged by it."""
        minute = at_ms // _MINUTE_MS
        known = self._known.get(tenant)
        if known is None or known[0] != minute:
            before = (at_ms - back * _MINUTE_MS for back in range(2, NORM_MINUTES + 2))
            known = minute, norm_usd([self._minutes(tenant, at_ms_).usd for at_ms_ in before])
            self._known[tenant] = known
        return known[1]


class PageOfRates:
    def __init__(self, tables: Tables, published: Published, norms: Norms, now_ms: int) -> None:
        self.stops: list[SpendStop] = []
        self._windows = Draft(tables.spend_rate)
        self._published = published
        self._norms = norms
        self._now_ms = now_ms
        self._stopped: dict[str, SpendStop] = {}

    def spent(self, tenant: str, usd: Decimal, written_at_ms: int) -> None:
        rate = self._published.spend_rate(tenant)
        if rate is None:
            return
        window = self._windows.at(tenant, written_at_ms)
        self._windows.put(tenant, written_at_ms, Spend(usd=window.usd + usd))
        stop = self._stopped.get(tenant) or self._published.spend_stop(tenant)
        is_stopped = stop is not None and self._now_ms < stop.until_ms
        if is_stopped or self._now_ms - written_at_ms > _LATE_MS:
            return
        windows = self._windows.last(tenant, written_at_ms, windows_since(stop, written_at_ms))
        norm = None if rate.times_norm is None else self._norms.of(tenant, written_at_ms)
        total = sum((each.usd for each in windows), Decimal(0))
        made = stop_for(tenant, rate, total, norm, written_at_ms=written_at_ms, now_ms=self._now_ms)
        if made is not None:
            self._stopped[tenant] = made
            self.stops.append(made)

    def write(self) -> None:
        """Raises TableError."""
        self._windows.write()
