"""The limit stage and its state, for tests of what it decides."""

from typing import Any

from schemas.call import CallRow
from schemas.control import Limits
from schemas.flow import Accepted, Refused
from schemas.response import Failure
from schemas.topics import ACCOUNTS
from schemas.usage import Usage
from streams.control import ControlView
from streams.cost.ledger import attempt_row
from streams.runtime.outcome import Forward, Outcome
from streams.stages.limit import decide
from streams.state.accounts import Accounts
from tests.unit.examples import (
    DIGEST,
    NOW_MS,
    accepted,
    attempt,
    control,
    delivery,
    finished,
    limited_tenant,
    plan,
    table_records,
    ticket,
    view,
)

MINUTE_MS = 60_000


class Limiter:
    """The stage and its state, without Kafka: what an outcome writes to the table is applied, as the shell does."""

    def __init__(self, configured: ControlView) -> None:
        self.control = configured
        self.state = Accounts()
        self._offset = 100

    def take(self, event: Accepted | Refused | CallRow, *, at_ms: int = NOW_MS, offset: int | None = None) -> Outcome:
        """At the next offset, unless it is delivered again at an earlier one."""
        self._offset += 1
        delivered = delivery(offset=self._offset if offset is None else offset, timestamp_ms=at_ms)
        outcome = decide(event, view(self.state, control=self.control, delivery=delivered, now_ms=at_ms))
        for change in table_records(ACCOUNTS, outcome):
            self.state.apply(change, at_ms)
        return outcome

    def admits(self, *, at_ms: int = NOW_MS, **event: Any) -> bool:
        self._offset += 1
        return isinstance(self.take(accepted(f"r-{self._offset}", **event), at_ms=at_ms), Forward)

    def refuses(self, *, at_ms: int = NOW_MS, **event: Any) -> Failure:
        self._offset += 1
        ended = finished(self.take(accepted(f"r-{self._offset}", **event), at_ms=at_ms))
        assert ended.failure is not None
        return ended.failure


def limiter(**limits: Any) -> Limiter:
    return Limiter(control(limited_tenant(**limits)))


def for_users(**limits: int) -> Limiter:
    return Limiter(control(limited_tenant(user_limits=Limits(**limits))))


def refused(request_id: str = "r-1", *, digest: str = DIGEST, code: Any = "invalid_request") -> Refused:
    failure = Failure(code=code, message="colour is not a known field: remove it", field="colour")
    return Refused(ticket=ticket(request_id), digest=digest, failure=failure)


def priced(number: int = 1, *, tokens: int = 17, **changes: Any) -> CallRow:
    used = Usage(uncached_input_tokens=tokens)
    return attempt_row(ticket(), plan(), attempt(number, **changes), "priced", usage=used)
