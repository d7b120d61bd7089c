"""Thousands of requests at once at a budget for a hundred, while workers come, are killed, and partitions move: no more
is spent than the budget allows, every request has one decision, and the account is what the rows say.
"""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from schemas.account import Account
from schemas.alert import Alert
from schemas.call import CallRow
from schemas.flow import Admitted, Completion, Ticket
from schemas.money import Budget
from schemas.topics import (
    ACCOUNTS,
    ADMITTED,
    ALERTS,
    BUDGETS,
    CALLS,
    COMPLETIONS,
    CONTROL,
    DEAD_LETTERS,
    DEFERRED,
    NOTICES,
    VALIDATED,
)
from schemas.usage import Cost
from scripts.stack.readiness import holds_within
from streams.settings import KafkaSettings
from tests.fakes.call_rows import call_row
from tests.integration.kafka_log import KafkaLog
from tests.integration.stage_process import StageProcess
from tests.integration.worker_thread import Bench
from tests.unit.examples import accepted, deployment

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SEED = 20261128
REQUESTS, ROOM_FOR = 5_000, 100
ESTIMATE = Decimal("0.0010265")
"""Of a request of 10 tokens in and 512 out to gpt-5-mini."""
LIMIT = ESTIMATE * ROOM_FOR
KILLED_AT = (200, 1_200, 2_400)
"""Each time one of the first three workers dies: whoever had the tenant at first is among them."""
WITHIN_S = 120


@pytest.fixture
def bench(kafka: KafkaSettings) -> Iterator[Bench]:
    with Bench(kafka) as bench:
        bench.configure()
        bench.log.create(
            DEAD_LETTERS, VALIDATED, ADMITTED, DEFERRED, NOTICES, CALLS, ACCOUNTS, BUDGETS, COMPLETIONS, ALERTS
        )
        yield bench


class Provider:
    """Calls for whatever is admitted, and books it: up to what was held for it, now and then more than once."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._log = KafkaLog(kafka)
        self._random = random.Random(SEED)  # noqa: S311  # chance that can be repeated is the point
        self._stop = threading.Event()
        self.costs: dict[str, Decimal] = {}
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._stop.is_set():
            for event in self._log.events(ADMITTED, Admitted):
                if event.ticket.request_id not in self.costs:
                    self._book(event.ticket)
            self._log.flush()

    def _book(self, ticket: Ticket) -> None:
        cost = (ESTIMATE * self._random.randint(20, 100) / 100).quantize(Decimal("1e-9"))
        self.costs[ticket.request_id] = cost
        row = call_row(
            request_id=ticket.request_id,
            tenant_id="acme",
            attempt_id=f"attempt-{ticket.request_id}",
            cost=Cost(status="priced", total_usd=cost),
        )
        for _ in range(self._random.choice((1, 1, 2))):
            self._log.write(CALLS, row, key="acme")

    def close(self) -> None:
        self._stop.set()
        self._thread.join(WITHIN_S)
        self._log.close()


def test_a_budget_is_not_exceeded_however_many_ask_at_once_and_whoever_is_killed(bench: Bench, tmp_path: Path) -> None:
    month = Budget(name="month", tenant="acme", period="month", usd=str(LIMIT))
    bench.log.write(CONTROL, deployment(models={"gpt-5-mini": "gpt-5-mini"}), key="deployment/openai-1")
    bench.log.write(CONTROL, month, key="budget/month")
    for number in range(REQUESTS):
        bench.log.write(VALIDATED, accepted(f"r-{number}"), key="acme")
    bench.log.flush()
    provider = Provider(bench.kafka)
    workers = [StageProcess(bench, tmp_path / f"limit-{n}", "limit", batch_size=10) for n in range(3)]
    try:
        for number, decided in enumerate(KILLED_AT, 3):
            assert holds_within(WITHIN_S, lambda least=decided: _decided(bench) >= least)
            workers.append(StageProcess(bench, tmp_path / f"limit-{number}", "limit", batch_size=10))
            workers.pop(0).child.kill()
        assert holds_within(WITHIN_S, lambda: _decided(bench) == REQUESTS)
        assert holds_within(WITHIN_S, lambda: _spent(bench) == sum(provider.costs.values()))
    finally:
        for worker in workers:
            worker.child.kill()
        provider.close()

    admitted = {event.ticket.request_id for event in bench.log.events(ADMITTED, Admitted)}
    refused = {event.ticket.request_id: event.failure for event in bench.log.events(COMPLETIONS, Completion)}
    spent = sum(provider.costs.values())
    assert admitted.isdisjoint(refused)
    assert len(admitted) + len(refused) == REQUESTS
    assert Counter(failure.code for failure in refused.values() if failure) == {"budget_exceeded": len(refused)}
    assert len(admitted) >= ROOM_FOR
    assert spent <= LIMIT  # no call cost more than was held for it: not even what was under way is on top
    rows = {row.attempt_id: row for row in bench.log.events(CALLS, CallRow)}
    assert sum(row.cost.total_usd or 0 for row in rows.values()) == spent
    told = {alert.alert_id for alert in bench.log.events(ALERTS, Alert)}
    percents = [told_id.split("/")[-2] for told_id in told]
    assert len(set(percents)) == len(percents)
    assert set(percents) <= {"80", "100"}  # at 100 only where it was used up, and not just held for others
    assert ("80" in percents) >= (spent * 100 >= LIMIT * 80)


def _decided(bench: Bench) -> int:
    return sum(bench.log.committed("limit", VALIDATED).values())


def _spent(bench: Bench) -> Decimal:
    accounts = bench.log.events(BUDGETS, Account)
    return accounts[-1].spent_usd if accounts else Decimal(0)
