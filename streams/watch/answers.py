"""How a tenant's requests have been ending, and when that is worth an alert."""

from schemas.alert import Alert
from schemas.base import Model
from schemas.call import CallNews, CallRow

SPAN_S = 300


class Answers(Model):
    """Requests that ended in one stretch of five minutes. Rejected ones are left out: the sender was told why."""

    ended: int = 0
    failed: int = 0
    alerted: bool = False


class AnswersTally:
    """Answers while requests are counted into them."""

    def __init__(self, answers: Answers) -> None:
        self.ended = answers.ended
        self.failed = answers.failed
        self.alerted = answers.alerted

    def count(self, row: CallRow | CallNews) -> None:
        self.ended += 1
        self.failed += row.request_status in ("failed", "expired")

    @property
    def failed_share(self) -> float:
        return self.failed / self.ended if self.ended else 0.0

    @property
    def event(self) -> Answers:
        return Answers(ended=self.ended, failed=self.failed, alerted=self.alerted)


def ends_a_request(row: CallRow | CallNews) -> bool:
    return row.is_final and row.phase == "priced" and bool(row.tenant_id) and row.request_status != "rejected"


def share_alert(tenant: str, answers: AnswersTally, *, min_requests: int, share: float, now_ms: int) -> Alert | None:
    """Once per tenant and stretch."""
    if answers.alerted or answers.ended < min_requests or answers.failed_share < share:
        return None
    return Alert(
        alert="error_share",
        severity="warning",
        subject=f"tenant/{tenant}",
        message=f"{answers.failed} of the last {answers.ended} requests of {tenant} failed or expired: their rows in "
        "the calls table say why.",
        value=f"{answers.failed_share:.3f}",
        threshold=f"{share:.3f}",
        at_ms=now_ms,
    )
