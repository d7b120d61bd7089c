"""A metric's name, labels and kind are declared once, and nothing can be counted under another."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, get_args

import pytest
from prometheus_client import generate_latest

from schemas.response import Response, Status
from schemas.usage import Cost, Usage
from streams.cost.ledger import attempt_row
from streams.observe.business import measure
from streams.observe.metrics import (
    COUNTERS,
    GAUGES,
    HISTOGRAMS,
    CounterName,
    GaugeName,
    HistogramName,
    Metrics,
)
from streams.stages.postprocess import respond
from tests.unit.examples import KEY, NOW_MS, PROMPT_CANARY, answer, attempt, completion, plan, ticket

Declared = Mapping[Any, tuple[str, tuple[str, ...]]]
KINDS: list[tuple[Any, Declared]] = [(CounterName, COUNTERS), (GaugeName, GAUGES), (HistogramName, HISTOGRAMS)]
EVERY: dict[str, tuple[str, tuple[str, ...]]] = {**COUNTERS, **GAUGES, **HISTOGRAMS}


def shown(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Every sample by its name and label values."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for metric in metrics.registry.collect()
        for sample in metric.samples
    }


@pytest.mark.parametrize(("names", "declared"), KINDS, ids=["counters", "gauges", "histograms"])
def test_every_name_the_code_may_use_is_declared_and_no_other(names: Any, declared: Declared) -> None:
    assert set(get_args(names)) == set(declared)


@pytest.mark.parametrize("name", EVERY)
def test_a_name_says_whose_it_is_and_its_unit_and_has_words_for_a_reader(name: str) -> None:
    words, labels = EVERY[name]

    assert name.startswith("millrace_")
    assert name.endswith("_total") is (name in COUNTERS)
    assert name not in HISTOGRAMS or name.endswith("_seconds")
    assert words.endswith(".")
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("name", EVERY)
def test_no_label_has_as_many_values_as_there_are_requests_or_users(name: str) -> None:
    assert not set(EVERY[name][1]) & {"request_id", "attempt_id", "user", "user_id", "session_id", "offset", "trace"}


def test_every_metric_can_be_set_and_is_shown() -> None:
    metrics = Metrics()
    for name, (_, labels) in COUNTERS.items():
        metrics.count(name, *(f"x{label}" for label in labels))
    for name, (_, labels) in GAUGES.items():
        metrics.set(name, *(f"x{label}" for label in labels), to=2)
    for name, (_, labels) in HISTOGRAMS.items():
        metrics.observe(name, *(f"x{label}" for label in labels), value=0.2)

    text = generate_latest(metrics.registry).decode()

    assert all(f"# HELP {name}" in text for name in EVERY)


def test_two_processes_in_one_test_do_not_meet() -> None:
    one, other = Metrics(), Metrics()

    one.count("millrace_rows_total", by=3)

    assert shown(one)["millrace_rows_total",] == 3
    assert shown(other)["millrace_rows_total",] == 0


def response(status: Status = "ok") -> Response:
    ended = completion(status=status, answer=answer(PROMPT_CANARY), ticket=ticket(labels={"feature": KEY}))
    return respond(ended, [], NOW_MS + 1_500)


def row(cost: Cost, *, tokens: int = 17) -> Any:
    usage = Usage(uncached_input_tokens=tokens, text_output_tokens=2 * tokens)
    return attempt_row(ticket(user_id="ada"), plan(), attempt(), "priced", cost=cost, usage=usage)


def test_an_answer_counts_with_its_latency_and_a_refusal_does_not() -> None:
    metrics = Metrics()
    measure(response(), metrics)
    measure(response("rejected"), metrics)

    assert shown(metrics)["millrace_total_seconds_count",] == 1
    assert shown(metrics)["millrace_total_seconds_sum",] == 1.5
    assert shown(metrics)["millrace_added_seconds_sum",] == 0.5


def test_money_and_tokens_are_counted_by_tenant_and_model() -> None:
    metrics = Metrics()
    usd = Decimal("0.25")
    for _ in range(2):
        measure(row(Cost(status="priced", total_usd=usd)), metrics)

    counted = shown(metrics)
    assert counted["millrace_cost_usd_total", "acme", "gpt-5-mini"] == 0.5
    assert counted["millrace_tokens_total", "gpt-5-mini", "input"] == 34
    assert counted["millrace_tokens_total", "gpt-5-mini", "output"] == 68


def test_a_model_without_a_price_is_counted_as_that_and_not_as_money() -> None:
    metrics = Metrics()
    measure(row(Cost(status="unpriced")), metrics)

    counted = shown(metrics)
    assert counted["millrace_unpriced_total", "gpt-5-mini"] == 1
    assert not any(name[0] == "millrace_cost_usd_total" for name in counted)


def test_other_events_say_nothing() -> None:
    metrics = Metrics()
    before = shown(metrics)

    measure(ticket(), metrics)

    assert shown(metrics) == before


def test_no_key_no_prompt_and_nobodys_name_is_in_the_metrics() -> None:
    metrics = Metrics()
    measure(response(), metrics)
    measure(row(Cost(status="priced", total_usd=Decimal(1))), metrics)

    text = generate_latest(metrics.registry).decode()

    assert all(secret not in text for secret in (KEY, PROMPT_CANARY, "ada", "r-1"))
