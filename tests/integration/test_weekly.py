"""The figures of a report, on a real engine: adjustments are in the amounts, and settle what was uncertain."""

from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas.usage import Cost, Usage
from sinks.clickhouse import ClickHouseSink
from sinks.connection import connect
from sinks.ledger import Chosen, Ledger
from sinks.traffic import traffic
from sinks.weekly import Amount, DayQuality, figures
from tests.clickhouse_engine import new_database, running_engine
from tests.fakes.call_rows import PRODUCED_AT_MS, UNKNOWN, call_row, priced
from tests.integration.millrace import Millrace

pytestmark = pytest.mark.integration

WEEK_MS = 7 * 86_400_000
MONDAY = datetime(2026, 11, 16, tzinfo=UTC)
LOST: dict[str, Any] = {
    "is_final": False,
    "request_status": None,
    "total_ms": None,
    "usage": Usage(),
    "error_class": "timeout",
}


def test_a_week_is_told_in_figures_and_written_as_a_page(tmp_path: Path) -> None:
    with running_engine(tmp_path / "clickhouse") as engine:
        settings = new_database(engine)
        with closing(ClickHouseSink(settings)) as sink:
            sink.write(
                [
                    call_row(1, cost=priced("0.001"), total_ms=700),
                    call_row(2, attempt_id="attempt-2a", cost=UNKNOWN, **LOST),
                    call_row(2, attempt_id="attempt-2b", attempt_no=2, cost=priced("0.002"), total_ms=900),
                    call_row(3, attempt_no=0, cost=priced("0"), cache="exact", saved_usd=Decimal("0.001")),
                    call_row(4, cost=Cost(status="unpriced"), request_status="failed", error_class="provider_error"),
                    call_row(5, produced_at_ms=PRODUCED_AT_MS - WEEK_MS, cost=priced("0.5")),
                ]
            )
        with closing(connect(settings)) as connection:
            ledger = Ledger(connection, settings.database)
            (lost,) = [call for call in ledger.calls(Chosen(0, PRODUCED_AT_MS * 2)) if call.attempt_id == "attempt-2a"]
            ledger.add([lost.adjustment("x", "reconcile", Decimal("0.0005"), reason="found", run_id="run")])
            found = figures(connection, settings.database, MONDAY, MONDAY + timedelta(days=7))
            recent = traffic(connection, settings.database, PRODUCED_AT_MS - 1)

        day = date(2026, 11, 18)
        assert (found.total, found.before) == (
            Amount("total", 4, Decimal("0.0035")),
            Amount("total", 1, Decimal("0.5")),
        )
        assert found.days == ((day, "gpt-5-mini", Decimal("0.0035")),)
        assert found.features == (Amount("search", 4, Decimal("0.0035")),)
        assert found.waste == (Amount("timeout", 1, Decimal("0.0005")), Amount("provider_error", 1, None))
        assert found.saved == (Amount("exact", 1, Decimal("0.001")),)
        assert found.quality == (DayQuality(day, 4, 1, 1_040),)
        assert found.uncertain == (Amount("unpriced", 1, None),)
        assert (recent.requests, recent.from_cache, len(recent.calls)) == (3, 1, 2)

        millrace = Millrace(
            {
                "MILLRACE_CLICKHOUSE_HOST": settings.host,
                "MILLRACE_CLICKHOUSE_PORT": str(settings.port),
                "MILLRACE_CLICKHOUSE_DATABASE": settings.database,
            }
        )
        out = tmp_path / "week.html"
        ended = millrace("report", "--week", "2026-W47", "--out", str(out))
        assert "2026-11-16 to 2026-11-22, 4 requests" in ended.out
        assert "<strong>0.003500 USD</strong> for 4 requests" in out.read_text()
        assert millrace("report", "--out", "/nowhere/week.html").status == 2

        said = millrace("estimate", "--since", "2026-11-18", "--model", "gpt-4o-mini=1", "--list-prices", "--json").json
        assert said["cache_rate"].startswith("0.333")
        assert Decimal(said["month_usd"]) > 0
