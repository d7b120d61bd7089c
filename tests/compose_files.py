"""The files below compose/, as data, for the tests that hold them to the code."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from streams.observe.metrics import COUNTERS, GAUGES, HISTOGRAMS

ROOT = Path(__file__).parents[1]
COMPOSE = ROOT / "compose"
STACK: Mapping[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text("utf-8"))
SERVICES: Mapping[str, Mapping[str, Any]] = STACK["services"]
SCRAPING: Mapping[str, Any] = yaml.safe_load((COMPOSE / "prometheus" / "prometheus.yml").read_text("utf-8"))
OURS = "millrace:"
"""How the name of our own image begins."""


@dataclass(frozen=True, slots=True)
class Panel:
    dashboard: str
    id: int
    kind: str
    title: str
    description: str
    unit: str
    source: tuple[str, str]
    place: tuple[int, int, int, int]
    overridden: tuple[str, ...]
    promql: tuple[tuple[str, str], ...]
    """Expression and legend of each target."""
    sql: str | None


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    promql: str
    annotations: Mapping[str, str]


def _panel(dashboard: str, drawn: Mapping[str, Any]) -> Panel:
    targets: list[Mapping[str, Any]] = drawn["targets"]
    shape = drawn["gridPos"]
    return Panel(
        dashboard=dashboard,
        id=drawn["id"],
        kind=drawn["type"],
        title=drawn["title"],
        description=drawn["description"],
        unit=drawn["fieldConfig"]["defaults"]["unit"],
        source=(drawn["datasource"]["type"], drawn["datasource"]["uid"]),
        place=(shape["x"], shape["y"], shape["w"], shape["h"]),
        overridden=tuple(each["matcher"]["options"] for each in drawn["fieldConfig"]["overrides"]),
        promql=tuple((each["expr"], each["legendFormat"]) for each in targets if "expr" in each),
        sql=next((each["rawSql"] for each in targets if "rawSql" in each), None),
    )


DASHBOARDS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        file.stem: json.loads(file.read_text("utf-8"))
        for file in sorted((COMPOSE / "grafana" / "dashboards").glob("*.json"))
    }
)
PANELS = tuple(_panel(name, drawn) for name, dashboard in DASHBOARDS.items() for drawn in dashboard["panels"])
RULES = tuple(
    Rule(rule["alert"], rule["expr"], rule["annotations"])
    for group in yaml.safe_load((COMPOSE / "prometheus" / "alerts.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
)


def _series() -> Iterator[tuple[str, frozenset[str]]]:
    of_every_target = frozenset({"job", "instance", "service"})
    yield "up", of_every_target
    for measured in (COUNTERS, GAUGES):
        for name, (_, labels) in measured.items():
            yield name, of_every_target.union(labels)
    for name, (_, labels) in HISTOGRAMS.items():
        yield f"{name}_bucket", of_every_target.union(labels, ("le",))
        yield f"{name}_sum", of_every_target.union(labels)
        yield f"{name}_count", of_every_target.union(labels)


METRICS: Mapping[str, frozenset[str]] = MappingProxyType(dict(_series()))
"""Every series that Prometheus can have from us, with its labels."""

_GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
_SELECTOR = re.compile(r"(\w+)\{([^}]*)\}")
_RANGE = re.compile(r"\[[^\]]*\]")
_WORD = re.compile(r"(?<![\w$])[a-zA-Z_]\w*(?!\w|\s*\()")
_OPERATORS = frozenset({"and", "or", "unless", "offset", "bool"})


@dataclass(frozen=True, slots=True)
class Query:
    """What a PromQL expression names. `matched` holds metric and label of every matcher."""

    metrics: frozenset[str]
    grouped_by: frozenset[str]
    matched: frozenset[tuple[str, str]]

    @staticmethod
    def of(promql: str) -> "Query":
        """Everything that is no function, operator, label or range is taken for a metric, so that none is missed."""
        matched = {
            (metric, re.split(r"[=!]", matcher)[0].strip())
            for metric, matchers in _SELECTOR.findall(promql)
            for matcher in matchers.split(",")
        }
        grouped_by = {label.strip() for labels in _GROUPING.findall(promql) for label in labels.split(",")}
        bare = _RANGE.sub("", _GROUPING.sub("", _SELECTOR.sub(r"\1", promql)))
        return Query(
            metrics=frozenset(_WORD.findall(bare)) - _OPERATORS,
            grouped_by=frozenset(grouped_by) - {""},
            matched=frozenset(matched),
        )
