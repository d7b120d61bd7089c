"""A tenant with budgets, whose requests are let through and whose calls are settled, without Kafka."""

from decimal import Decimal
from typing import Any

from schemas.alert import Alert
from schemas.call import CallRow
from schemas.flow import Accepted
from schemas.money import Budget, Override
from schemas.response import Failure
from schemas.topics import ACCOUNTS, ALERTS, BUDGETS
from schemas.usage import Cost
from streams.control import ControlView, with_object
from streams.cost.ledger import attempt_row
from streams.runtime.outcome import Forward, Outcome
from streams.stages.limit import decide
from streams.state.accounts import Accounts
from streams.state.registered import AccountKey
from tests.unit.examples import (
    NOW_MS,
    accepted,
    attempt,
    control,
    delivery,
    deployment,
    finished,
    on,
    plan,
    records_of,
    ticket,
    view,
)

DAY_MS = 86_400_000
MONTH, TODAY = "2026-11", "2026-11-18"
ESTIMATE = Decimal("0.0003087")
"""Of a request of 10 tokens in and 512 out to gpt-4o-mini."""


def budget(name: str = "month", *, usd: str = "1", **changes: Any) -> Budget:
    facts: dict[str, Any] = {"tenant": "acme", "scope": "tenant", "period": "month", **changes}
    return Budget(name=name, usd=usd, **facts)


def budgeted(*objects: Budget | Override, model: str = "gpt-4o-mini") -> ControlView:
    configured = control(deployment(models={"gpt-5-mini": model}))
    for number, each in enumerate(objects):
        configured = with_object(configured, each, 10 + number)
    return configured


def key(name: str = "month", subject: str = "", period: str = MONTH) -> AccountKey:
    return AccountKey("acme", name, subject, period)


class Ledger:
    """The stage and its state, without Kafka. `asked` and `rows` count offsets, as two topics do."""

    def __init__(self, *objects: Budget | Override, model: str = "gpt-4o-mini") -> None:
        self.control = budgeted(*objects, model=model)
        self.state = Accounts()
        self.asked = 0
        self.rows = 0
        self.alerts: list[Alert] = []

    def ask(
        self, request_id: str | None = None, *, at_ms: int = NOW_MS, offset: int | None = None, **event: Any
    ) -> Outcome:
        self.asked += 1
        where = self.asked if offset is None else offset
        return self.take(accepted(request_id or f"r-{where}", **event), where, at_ms)

    def admits(self, request_id: str | None = None, **event: Any) -> bool:
        return isinstance(self.ask(request_id, **event), Forward)

    def refusal(self, **event: Any) -> Failure:
        failure = finished(self.ask(**event)).failure
        assert failure is not None
        return failure

    def settle(
        self, request_id: str, usd: str | None, *, attempt_no: int = 1, is_final: bool = True, offset: int | None = None
    ) -> Outcome:
        """A priced row; the cost is unknown with None."""
        self.rows += offset is None
        cost = Cost(status="unknown_billable") if usd is None else Cost(status="priced", total_usd=Decimal(usd))
        row = attempt_row(
            ticket(request_id),
            plan(),
            attempt(attempt_no, attempt_id=f"attempt-{request_id}-{attempt_no}"),
            "priced",
            cost=cost,
            request_status="ok" if is_final else None,
        )
        return self.take(row, self.rows if offset is None else offset, NOW_MS)

    def take(self, event: Accepted | CallRow, offset: int, at_ms: int) -> Outcome:
        delivered = delivery(offset=offset, timestamp_ms=at_ms)
        outcome = decide(event, view(self.state, control=self.control, delivery=delivered, now_ms=at_ms))
        for record in records_of(outcome):
            if record.topic in {ACCOUNTS, BUDGETS}:
                self.state.apply(record.event, at_ms)
        self.alerts += on(ALERTS, records_of(outcome), Alert)
        return outcome

    def spent(self, of: AccountKey | None = None) -> Decimal:
        return self.state.spending.account(of or key()).spent_usd

    def held(self, of: AccountKey | None = None, at_ms: int = NOW_MS) -> Decimal:
        return self.state.spending.held_usd(of or key(), at_ms)
