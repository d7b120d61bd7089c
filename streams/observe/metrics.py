"""The metrics of a process. A name is one of a closed set, so that a dashboard can be checked against the code."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

M = TypeVar("M", Counter, Gauge, Histogram)

CounterName = Literal[
    "millrace_events_total",  # events finished, by outcome; rate is the stage's throughput
    "millrace_dead_letters_total",  # records that could not be handled; any at all deserves a look
    "millrace_attempts_total",  # provider calls by deployment and result; errors here precede breakers
    "millrace_cost_usd_total",  # money booked; float is fine for a graph, the truth is in ClickHouse
    "millrace_tokens_total",  # tokens by direction
    "millrace_unpriced_total",  # answers of models without a price; each is a row with NULL cost
    "millrace_rows_total",  # call rows written to ClickHouse
    "millrace_sink_retries_total",  # inserts that had to wait; rises while ClickHouse is away
    "millrace_restored_records_total",  # state records read back after an assignment
    "millrace_alerts_total",  # alerts published by watch
    "millrace_semantic_total",  # exact misses compared by meaning: given, refused by the guard, or unlike
]
GaugeName = Literal[
    "millrace_lag_records",  # records not yet committed, per topic and partition; grows when a stage is too slow
    "millrace_in_flight",  # events taken and not finished
    "millrace_waiting",  # requests that a lane of invoke has read and has no place for yet; tenants take turns
    "millrace_deferred",  # requests that wait until the limits of their tenant take them
    "millrace_parked",  # events held back: followers of a question in flight
    "millrace_state_entries",  # ids, meters, answers and flights in memory; some 400 bytes each for `limit`
    "millrace_estimated_wait_seconds",  # of a request that comes now, in its lane at this worker; +Inf: none has ended
    "millrace_oldest_unfinished_seconds",  # age of the oldest unfinished event; growing means stuck
    "millrace_breaker_open",  # 1 while a deployment's breaker is open
    "millrace_pace_per_minute",  # calls a minute that a deployment is asked at most since it answered 429
    "millrace_goal_per_minute",  # what it was asked before that: both are the same when it is over
    "millrace_config_version",  # control offset obeyed; workers should agree within seconds
]
HistogramName = Literal[
    "millrace_decide_seconds",  # time to decide one batch
    "millrace_confirm_seconds",  # time until the broker acknowledged a batch's records
    "millrace_restore_seconds",  # time to read state back after an assignment; a stage stands still meanwhile
    "millrace_provider_seconds",  # one provider call, by deployment
    "millrace_added_seconds",  # total less provider time, per answered request
    "millrace_total_seconds",  # request's timestamp to response, per answered request
    "millrace_deferral_seconds",  # the wait for limits: estimated when it begins, waited when it is over
    "millrace_insert_seconds",  # one ClickHouse insert
]

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
COUNTERS: Mapping[CounterName, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        "millrace_events_total": ("Events finished.", ("stage", "outcome")),
        "millrace_dead_letters_total": ("Records sent to the dead letters.", ("stage", "reason")),
        "millrace_attempts_total": ("Provider calls.", ("deployment", "model", "result")),
        "millrace_cost_usd_total": ("USD booked.", ("tenant", "model")),
        "millrace_tokens_total": ("Tokens reported by providers.", ("model", "direction")),
        "millrace_unpriced_total": ("Answers of models without a price.", ("model",)),
        "millrace_rows_total": ("Call rows acknowledged by ClickHouse.", ()),
        "millrace_sink_retries_total": ("Inserts that were repeated.", ()),
        "millrace_restored_records_total": ("State records read after an assignment.", ("stage",)),
        "millrace_alerts_total": ("Alerts published.", ("alert",)),
        "millrace_semantic_total": ("Questions compared by meaning.", ("outcome",)),
    }
)
GAUGES: Mapping[GaugeName, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        "millrace_lag_records": ("Records not yet committed.", ("stage", "topic", "partition")),
        "millrace_in_flight": ("Events taken and not finished.", ("stage", "lane")),
        "millrace_waiting": ("Requests read and not begun, or set back, by lane.", ("lane",)),
        "millrace_deferred": ("Requests that wait for their limits.", ("stage",)),
        "millrace_parked": ("Events held back.", ("stage",)),
        "millrace_state_entries": ("Entries of state in memory.", ("stage",)),
        "millrace_estimated_wait_seconds": ("Backlog of a lane at the rate of its ends.", ("lane",)),
        "millrace_oldest_unfinished_seconds": ("Age of the oldest unfinished event.", ("stage",)),
        "millrace_breaker_open": ("1 while a deployment's breaker is open.", ("deployment",)),
        "millrace_pace_per_minute": ("Calls a minute allowed after a 429.", ("deployment",)),
        "millrace_goal_per_minute": ("Calls a minute before the 429.", ("deployment",)),
        "millrace_config_version": ("Control offset obeyed.", ("stage",)),
    }
)
HISTOGRAMS: Mapping[HistogramName, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        "millrace_decide_seconds": ("Time to decide one batch.", ("stage",)),
        "millrace_confirm_seconds": ("Time until a batch's records were acknowledged.", ("stage",)),
        "millrace_restore_seconds": ("Time to read state back after an assignment.", ("stage",)),
        "millrace_provider_seconds": ("One provider call.", ("deployment", "model")),
        "millrace_added_seconds": ("Total less provider time of an answered request.", ()),
        "millrace_total_seconds": ("Request's timestamp to response.", ()),
        "millrace_deferral_seconds": ("Waits for the limits of a tenant.", ("lane", "kind")),
        "millrace_insert_seconds": ("One ClickHouse insert.", ()),
    }
)


class Metrics:
    """One registry per process (and per test), so that nothing is global."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._counters = {n: Counter(n, d, labels, registry=self.registry) for n, (d, labels) in COUNTERS.items()}
        self._gauges = {n: Gauge(n, d, labels, registry=self.registry) for n, (d, labels) in GAUGES.items()}
        self._histograms = {
            n: Histogram(n, d, labels, registry=self.registry, buckets=_BUCKETS)
            for n, (d, labels) in HISTOGRAMS.items()
        }

        self._counting: dict[tuple[str, ...], Counter] = {}
        self._setting: dict[tuple[str, ...], Gauge] = {}
        self._observing: dict[tuple[str, ...], Histogram] = {}

    # a series is looked up by its labels once: that takes as long as ten additions to it
    def count(self, name: CounterName, *labels: str, by: float = 1) -> None:
        series = self._counting.get((name, *labels))
        if series is None:
            series = self._counting[name, *labels] = _series(self._counters[name], labels)
        series.inc(by)

    def set(self, name: GaugeName, *labels: str, to: float) -> None:
        series = self._setting.get((name, *labels))
        if series is None:
            series = self._setting[name, *labels] = _series(self._gauges[name], labels)
        series.set(to)

    def observe(self, name: HistogramName, *labels: str, value: float) -> None:
        series = self._observing.get((name, *labels))
        if series is None:
            series = self._observing[name, *labels] = _series(self._histograms[name], labels)
        series.observe(value)


def _series(metric: M, labels: tuple[str, ...]) -> M:
    return metric.labels(*labels) if labels else metric
