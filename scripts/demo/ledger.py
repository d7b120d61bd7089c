"""What ClickHouse and the simulator say a run cost."""

import time
from decimal import Decimal
from typing import NamedTuple
from urllib.request import urlopen

from schemas.base import load_json
from scripts.cli.reconcile import compared
from scripts.demo.summary import BookedTotals, Reconciled
from sinks.connection import Connection, connect
from sinks.ledger import Chosen, Ledger
from sinks.settings import ClickHouseSettings
from streams.cost.reconciliation import Differs, Period
from streams.cost.usage_export import read_export

_TOTALS = """
SELECT count(), countIf(is_final), sum(cost_usd), countIf(cost_usd IS NULL)
FROM {database:Identifier}.calls
"""
_BY_TENANT_AND_FEATURE = """
SELECT tenant_id, feature, countIf(is_final), countIf(attempt_no > 0), sum(input_tokens), sum(output_tokens),
    sum(cost_usd), sum(saved_usd)
FROM {database:Identifier}.calls
GROUP BY tenant_id, feature ORDER BY tenant_id, feature
"""

_OWED = """
SELECT
    (SELECT sum(cost_total_usd) FROM {database:Identifier}.call_rows FINAL),
    (SELECT sum(delta_usd) FROM {database:Identifier}.adjustments FINAL)
"""
_AROUND_MS = 3_600_000
"""A run is over sooner, and whatever clocks there are, they are this machine's."""


class FeatureCost(NamedTuple):
    tenant: str
    feature: str
    requests: int
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None
    saved_usd: Decimal | None


class CostTable:
    """Read over the same HTTP door that analysts use."""

    def __init__(self, settings: ClickHouseSettings) -> None:
        self._database = settings.database
        self._connection: Connection = connect(settings)

    def wait_for(self, final_rows: int, *, within_s: float) -> BookedTotals:
        """Returns when every finished request has its row, or after `within_s` with what there is."""
        until_s = time.monotonic() + within_s
        while True:
            totals = self._totals()
            if totals.final_rows >= final_rows or time.monotonic() > until_s:
                return totals
            time.sleep(0.2)

    def _totals(self) -> BookedTotals:
        ((rows, final, cost, unknown),) = self._connection.query(
            _TOTALS, parameters={"database": self._database}
        ).result_rows
        return BookedTotals(int(rows), int(final), Decimal(cost or 0), int(unknown))

    def by_tenant_and_feature(self) -> list[FeatureCost]:
        result = self._connection.query(_BY_TENANT_AND_FEATURE, parameters={"database": self._database})
        return [FeatureCost(*row) for row in result.result_rows]

    def reconcile(self, simulator_url: str, now_ms: int) -> Reconciled:
        """Adjusts what we have to the simulator's bill, as `millrace reconcile` does."""
        around = Chosen(now_ms - _AROUND_MS, now_ms + _AROUND_MS)
        period = Period(around.start_ms, around.end_ms)
        records = read_export(_fetched(f"{simulator_url}/_bill/lines"), "the simulator's bill")
        ledger = Ledger(self._connection, self._database)
        result = compared(ledger, records, around, period, is_complete=True, run_id="demo")
        ledger.add(result.writes)
        ((booked, adjusted),) = self._connection.query(_OWED, parameters={"database": self._database}).result_rows
        return Reconciled(
            difference_usd=Decimal(booked or 0) + Decimal(adjusted or 0) - provider_bill_usd(simulator_url),
            unexplained_rows=len(result.not_found) + len(result.strays),
            wrong_prices=sum(isinstance(each, Differs) for each in result.outcomes),
            adjusted_rows=result.adjusted,
            adjusted_usd=Decimal(adjusted or 0),
        )

    def close(self) -> None:
        self._connection.close()


def provider_bill_usd(simulator_url: str) -> Decimal:
    """What the simulator would charge for everything it was asked since it started."""
    bill = load_json(_fetched(f"{simulator_url}/_bill"))
    if not isinstance(bill, dict):
        raise TypeError("the simulator's bill is not a JSON object")
    return Decimal(str(bill["cost_usd"]))


def _fetched(url: str) -> bytes:
    with urlopen(url, timeout=60) as answer:  # noqa: S310  # our own child on loopback
        return answer.read()
