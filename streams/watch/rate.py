"""When a tenant spends so fast that something must be wrong, and how long it is stopped. Pure; time comes in.

What counts is what was spent in the last minute, to ten seconds: never what a burst would come to if it went on. So a
loop at ten times the cap is stopped after six seconds, and one just above it after a minute.
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal

from schemas.alert import Alert
from schemas.call import CallNews, CallRow
from schemas.money import SpendRate, SpendStop

WINDOW_S = 10
WINDOWS = 6
NORM_MINUTES = 60
NORM_NEEDS = 10
"""Minutes of the last hour in which something was spent: with fewer nobody can say what is normal."""

_NANODOLLAR = Decimal("1e-9")
_MOST_USD = Decimal("999999999.999999999")
"""More is told as this: an alert about it must not fail for its size."""
_WINDOW_MS = WINDOW_S * 1_000


def rated_usd(row: CallRow | CallNews) -> Decimal | None:
    """What a row adds to the rate. A lost call counts with its estimate: a loop of timeouts is a loop too."""
    if row.phase != "priced" or not row.tenant_id:
        return None
    return row.cost.total_usd or row.cost.estimated_usd or None


def windows_since(stop: SpendStop | None, written_at_ms: int) -> int:
    """How many windows of the minute begin after the last stop ended: what led to it is no reason for the next."""
    newest = written_at_ms // _WINDOW_MS
    first = 0 if stop is None else max(stop.since_ms, stop.until_ms) // _WINDOW_MS + 1
    return max(0, min(WINDOWS, newest - first + 1))


def norm_usd(minutes: Sequence[Decimal]) -> Decimal | None:
    """The mean of the minutes in which something was spent; None where those are too few. A tenant that works in bursts
    is measured by its bursts.
    """
    busy = [usd for usd in minutes if usd]
    return sum(busy, Decimal(0)) / len(busy) if len(busy) >= NORM_NEEDS else None


def threshold_usd(rate: SpendRate, norm: Decimal | None) -> Decimal | None:
    """USD a minute above which a tenant is stopped: its cap, or so many times its norm, whichever is less."""
    by_cap = None if rate.usd_per_minute is None else Decimal(rate.usd_per_minute)
    by_norm = None if rate.times_norm is None or norm is None else norm * rate.times_norm
    return min((each for each in (by_cap, by_norm) if each is not None), default=None)


def stop_for(
    tenant: str, rate: SpendRate, spent_usd: Decimal, norm: Decimal | None, *, written_at_ms: int, now_ms: int
) -> SpendStop | None:
    """`since_ms` is when the row was written that was one too many: whoever takes it again makes the same stop."""
    threshold = threshold_usd(rate, norm)
    if threshold is None or spent_usd <= threshold:
        return None
    return SpendStop(
        name=tenant,
        usd_per_minute=_text(spent_usd),
        threshold_usd=_text(threshold),
        since_ms=min(written_at_ms, now_ms),
        until_ms=now_ms + rate.pause_s * 1_000,
    )


def stop_alert(stop: SpendStop, now_ms: int) -> Alert:
    return Alert(
        alert_id=f"{stop.name}/{stop.since_ms}",
        alert="spend_stopped",
        severity="critical",
        subject=f"tenant/{stop.name}",
        message=f"{stop.name} has spent {stop.usd_per_minute} USD in a minute and is stopped above "
        f"{stop.threshold_usd}: its requests are refused for {(stop.until_ms - now_ms) // 1_000} s. Its rows in the "
        f"calls table say where it went. To let it go on: millrace spend-stop lift {stop.name} --reason ...",
        value=stop.usd_per_minute,
        threshold=stop.threshold_usd,
        at_ms=now_ms,
    )


def _text(usd: Decimal) -> str:
    usd = min(usd, _MOST_USD)
    return f"{usd.quantize(_NANODOLLAR, ROUND_HALF_EVEN).normalize():f}"
