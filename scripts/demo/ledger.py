"""What ClickHouse and the simulator say a run cost."""

import time
from decimal import Decimal
from typing import NamedTuple
from urllib.request import urlopen

from schemas.base import load_json
from scripts.demo.summary import Ledger
from sinks.connection import Connection, connect
from sinks.settings import ClickHouseSettings

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

    def wait_for(self, final_rows: int, *, within_s: float) -> Ledger:
        """Returns when every finished request has its row, or after `within_s` with what there is."""
        until_s = time.monotonic() + within_s
        while True:
            ledger = self._totals()
            if ledger.final_rows >= final_rows or time.monotonic() > until_s:
                return ledger
            time.sleep(0.2)

    def _totals(self) -> Ledger:
        ((rows, final, cost, unknown),) = self._connection.query(
            _TOTALS, parameters={"database": self._database}
        ).result_rows
        return Ledger(int(rows), int(final), Decimal(cost or 0), int(unknown))

    def by_tenant_and_feature(self) -> list[FeatureCost]:
        result = self._connection.query(_BY_TENANT_AND_FEATURE, parameters={"database": self._database})
        return [FeatureCost(*row) for row in result.result_rows]

    def close(self) -> None:
        self._connection.close()


def provider_bill_usd(simulator_url: str) -> Decimal:
    """What the simulator would charge for everything it was asked since it started."""
    with urlopen(f"{simulator_url}/_bill", timeout=10) as answer:  # noqa: S310  # our own child on loopback
        bill = load_json(answer.read())
    if not isinstance(bill, dict):
        raise TypeError("the simulator's bill is not a JSON object")
    return Decimal(str(bill["cost_usd"]))
