"""What dashboards and alert rules ask for is there: in a process's own /metrics, and in ClickHouse."""

import re
from collections.abc import Generator, Mapping
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from http.client import HTTPConnection
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from schemas.usage import Cost
from sinks.clickhouse import ClickHouseSink
from sinks.connection import Connection, connect
from sinks.migrate import migrate
from streams.observe.health import Health, ObservationServer
from streams.observe.metrics import COUNTERS, GAUGES, HISTOGRAMS, Metrics
from tests.clickhouse_engine import running_engine
from tests.compose_files import PANELS, RULES, Panel, Query
from tests.fakes.call_rows import PRODUCED_AT_MS, UNKNOWN, call_row, priced
from tests.grafana_macros import expanded

pytestmark = pytest.mark.integration

EXPRESSIONS = (*(expression for panel in PANELS for expression, _ in panel.promql), *(rule.promql for rule in RULES))
QUERIES = tuple(map(Query.of, EXPRESSIONS))
ASKED = [panel for panel in PANELS if panel.sql is not None]


@pytest.fixture(scope="module")
def live() -> Mapping[str, frozenset[str]]:
    """Every series of a /metrics where everything has happened once, with its labels."""
    metrics = Metrics()
    for counter, (_, labels) in COUNTERS.items():
        metrics.count(counter, *labels)
    for gauge, (_, labels) in GAUGES.items():
        metrics.set(gauge, *labels, to=1)
    for histogram, (_, labels) in HISTOGRAMS.items():
        metrics.observe(histogram, *labels, value=0.2)
    with (
        ObservationServer("127.0.0.1", 0, lambda: Health("running", 0, 0), metrics) as server,
        closing(HTTPConnection("127.0.0.1", server.port, timeout=5)) as connection,
    ):
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    return {
        sample.name: frozenset(sample.labels)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_series_that_is_asked_for_is_in_a_live_metrics_page(live: Mapping[str, frozenset[str]]) -> None:
    asked_for = {metric for query in QUERIES for metric in query.metrics} - {"up"}
    assert len(asked_for) > 20
    assert asked_for <= live.keys()


def test_every_label_that_is_asked_for_is_on_the_series(live: Mapping[str, frozenset[str]]) -> None:
    for query in QUERIES:
        own = {label for metric in query.metrics - {"up"} for label in live[metric]}
        assert query.grouped_by <= own | {"service"}
        assert all(label in live[metric] for metric, label in query.matched if metric != "up")


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Generator[Connection]:
    """To an engine with one of each: answered, answered by a fallback, from the cache, failed, rejected, unpriced."""
    rows = [
        call_row(1, user_id=None),
        call_row(2, "priced", target_index=1, attempt_no=2, deployment="anthropic-1", provider="anthropic"),
        call_row(3, attempt_no=0, cache="exact", saved_usd=Decimal("0.01"), cost=priced("0"), deployment=None),
        call_row(4, "settled", cost=UNKNOWN, error_class="timeout", http_status=None),
        call_row(5, attempt_no=0, request_status="rejected", error_class="rate_limited", deployment=None, route=None),
        call_row(6, cost=Cost(status="unpriced"), model_used="unheard-of"),
    ]
    with running_engine(tmp_path_factory.mktemp("clickhouse")) as settings, closing(connect(settings)) as connection:
        migrate(connection, settings.database, settings.retention_days)
        with closing(ClickHouseSink(settings)) as sink:
            sink.write(rows)
        yield connection


@pytest.mark.parametrize("panel", ASKED, ids=lambda panel: f"{panel.dashboard}: {panel.title}")
def test_a_panels_sql_finds_what_happened(connection: Connection, panel: Panel) -> None:
    now_s = PRODUCED_AT_MS // 1_000
    answer = connection.query(expanded(panel.sql or "", from_s=now_s - 3_600, to_s=now_s + 3_600))
    assert answer.result_rows
    assert set(panel.overridden) <= set(answer.column_names)
    if panel.kind == "timeseries":
        assert answer.column_names[0] == "time"
        assert all(isinstance(row[0], datetime) for row in answer.result_rows)
        assert all(_is_drawable(value) for row in answer.result_rows for value in row[1:])
    if panel.kind == "stat":
        assert len(answer.result_rows) == len(answer.column_names) == 1


def _is_drawable(value: Any) -> bool:
    """A number, or the name of the series it belongs to."""
    return value is None or isinstance(value, int | float | Decimal | str)


@pytest.mark.parametrize("panel", ASKED, ids=lambda panel: f"{panel.dashboard}: {panel.title}")
def test_a_panel_reads_the_views_only_and_what_the_time_picker_shows(panel: Panel) -> None:
    assert panel.sql is not None
    assert re.findall(r"(?:FROM|JOIN) (\w+\.\w+)", panel.sql)
    assert set(re.findall(r"(?:FROM|JOIN) ([\w.]+)", panel.sql)) <= {
        f"millrace.{view}" for view in ("calls", "cost_daily", "latency_hourly", "errors_hourly")
    }
    assert re.search(r"\$__(timeFilter|dateFilter|fromTime)", panel.sql)
