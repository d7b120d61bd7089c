"""Dashboards and alert rules name only what the code measures, and can be read without knowing it."""

import re
from itertools import combinations

import pytest
import yaml

from streams.observe.metrics import COUNTERS, GAUGES, HISTOGRAMS
from tests.compose_files import COMPOSE, DASHBOARDS, METRICS, PANELS, RULES, Panel, Query, Rule

AXES = {
    "events/s": "eps", "records/s": "recps", "rows/s": "rowsps", "calls/s": "cps", "inserts/min": "cpm",
    "s": "s", "ms": "ms", "USD": "currencyUSD", "USD/h": "currencyUSD", "share": "percentunit",
    "offset": "none", "1 = open": "short", "tokens/s": "short",
    **dict.fromkeys(
        ("alerts", "answers", "calls", "errors", "events", "processes", "records", "requests", "tokens"), "short"
    ),
}  # fmt: skip
"""The unit in a panel's title, and what Grafana calls it on the axis."""
EXPRESSIONS = [expression for panel in PANELS for expression, _ in panel.promql] + [rule.promql for rule in RULES]
TITLE = re.compile(r"[A-Z].* \((.+)\)")


def named(panel: Panel) -> str:
    return f"{panel.dashboard}: {panel.title}"


@pytest.mark.parametrize("panel", PANELS, ids=named)
def test_a_panels_title_ends_in_the_unit_of_its_axis(panel: Panel) -> None:
    title = TITLE.fullmatch(panel.title)
    assert title is not None
    assert panel.unit == AXES[title[1]]


@pytest.mark.parametrize("panel", PANELS, ids=named)
def test_a_panel_is_described_in_one_sentence(panel: Panel) -> None:
    assert re.fullmatch(r"[A-Z`][^.]+\.", panel.description)


@pytest.mark.parametrize("panel", PANELS, ids=named)
def test_a_legend_shows_labels_that_the_query_keeps(panel: Panel) -> None:
    for expression, legend in panel.promql:
        kept = Query.of(expression).grouped_by
        assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= kept
        assert legend


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_names_metrics_and_labels_that_exist(expression: str) -> None:
    query = Query.of(expression)
    assert query.metrics
    assert query.metrics <= METRICS.keys()
    assert query.grouped_by <= {label for metric in query.metrics for label in METRICS[metric]}
    assert all(label in METRICS[metric] for metric, label in query.matched)


def test_every_metric_is_shown_somewhere() -> None:
    shown = {metric for expression in EXPRESSIONS for metric in Query.of(expression).metrics}
    measured = {*COUNTERS, *GAUGES, *(f"{name}_bucket" for name in HISTOGRAMS)}
    assert measured <= shown


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_an_alert_says_what_is_wrong_and_what_to_do_about_it(rule: Rule) -> None:
    assert rule.annotations.keys() == {"summary", "action"}
    used = set(re.findall(r"\$labels\.(\w+)", " ".join(rule.annotations.values())))
    assert used <= Query.of(rule.promql).grouped_by


def test_dashboards_and_panels_can_be_told_apart() -> None:
    assert len({dashboard["uid"] for dashboard in DASHBOARDS.values()}) == len(DASHBOARDS) == 4
    assert len({dashboard["title"] for dashboard in DASHBOARDS.values()}) == len(DASHBOARDS)
    assert len({(panel.dashboard, panel.id) for panel in PANELS}) == len(PANELS)
    assert len({(panel.dashboard, panel.title) for panel in PANELS}) == len(PANELS)


def test_no_panel_covers_another() -> None:
    for one, other in combinations(PANELS, 2):
        (x, y, width, height), (left, top, wide, high) = one.place, other.place
        apart = x + width <= left or left + wide <= x or y + height <= top or top + high <= y
        assert apart or one.dashboard != other.dashboard, f"{named(one)} and {named(other)}"


def test_panels_ask_the_sources_that_are_provisioned() -> None:
    provisioned = yaml.safe_load((COMPOSE / "grafana/provisioning/datasources/datasources.yaml").read_text("utf-8"))
    sources = {(source["type"], source["uid"]): source for source in provisioned["datasources"]}
    for panel in PANELS:
        assert panel.source in sources
        assert bool(panel.promql) is (panel.source[0] == "prometheus")
        assert (panel.sql is not None) is (panel.source[0] == "grafana-clickhouse-datasource")


def test_what_an_expression_names_is_found() -> None:
    assert Query.of('sum by (a, b) (rate(x_total{c!="d"}[5m])) or 0 * y offset 10m') == Query(
        metrics=frozenset({"x_total", "y"}), grouped_by=frozenset({"a", "b"}), matched=frozenset({("x_total", "c")})
    )
    assert Query.of("deriv(sum(z)[15m:1m]) > 0 unless on() h_bucket[$__rate_interval]") == Query(
        metrics=frozenset({"z", "h_bucket"}), grouped_by=frozenset(), matched=frozenset()
    )
