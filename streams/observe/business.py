"""Counts what the pipeline is for: answers, their latency, tokens and money, from the very events it writes."""

from schemas.base import Event
from schemas.call import CallRow
from schemas.response import Response
from streams.observe.metrics import Metrics


def measure(event: Event, metrics: Metrics) -> None:
    """Other events than responses and final call rows say nothing here."""
    match event:
        case Response():
            if event.status == "ok":
                metrics.observe("millrace_added_seconds", value=event.timings.added_ms / 1000)
                metrics.observe("millrace_total_seconds", value=event.timings.total_ms / 1000)
        case CallRow():
            _measure_call(event, metrics)
        case _:
            pass


def _measure_call(row: CallRow, metrics: Metrics) -> None:
    model = row.model_used or row.model_requested
    if row.cost.total_usd:  # a float for Prometheus, which draws it: what is booked is the row's own Decimal
        metrics.count("millrace_cost_usd_total", row.tenant_id, model, by=float(row.cost.total_usd))
    if row.cost.status == "unpriced":
        metrics.count("millrace_unpriced_total", model)
    if row.usage.total_tokens:
        metrics.count("millrace_tokens_total", model, "input", by=row.usage.input_tokens)
        metrics.count("millrace_tokens_total", model, "output", by=row.usage.output_tokens)
