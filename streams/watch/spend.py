"""What a tenant has spent in a stretch of time, and when its operator is told. Money is Decimal, to the last digit."""

from datetime import UTC, datetime
from decimal import Decimal

from schemas.alert import Alert
from schemas.base import Model
from schemas.call import CallNews, CallRow


class Spend(Model):
    """USD booked in one minute or one UTC day, by the time the rows were written."""

    usd: Decimal = Decimal(0)
    alerted: bool = False


class SpendTally:
    """A spend while rows are booked on it."""

    def __init__(self, spend: Spend) -> None:
        self.usd = spend.usd
        self.alerted = spend.alerted

    @property
    def event(self) -> Spend:
        return Spend(usd=self.usd, alerted=self.alerted)


def booked_usd(row: CallRow | CallNews) -> Decimal | None:
    """None where nothing was billed, or nobody can know yet what: neither moves a total."""
    return row.cost.total_usd if row.phase == "priced" and row.tenant_id and row.cost.total_usd else None


def daily_alert(
    tenant: str, day: SpendTally, minute: SpendTally, limit_usd: Decimal | None, *, written_at_ms: int, now_ms: int
) -> Alert | None:
    """Once per tenant and day, when the day's spend passes the tenant's limit."""
    if limit_usd is None or day.alerted or day.usd <= limit_usd:
        return None
    date = datetime.fromtimestamp(written_at_ms / 1000, UTC).date()
    return Alert(
        alert="daily_spend",
        severity="warning",
        subject=f"tenant/{tenant}",
        message=f"{tenant} has spent {day.usd} USD on {date} (UTC), {minute.usd} USD of it in the last minute; the "
        f"alert is set at {limit_usd} USD. Nothing is stopped: lower its limits or disable it if this is not meant.",
        value=str(day.usd),
        threshold=str(limit_usd),
        at_ms=now_ms,
    )
