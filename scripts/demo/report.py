"""What a person sees at the end of the demo."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from rich.box import SIMPLE_HEAVY
from rich.console import Console
from rich.table import Table

from schemas.response import Response
from scripts.demo.ledger import FeatureCost
from scripts.demo.summary import Summary

BAR_CHARS = 40


def show(console: Console, summary: Summary, life: Response | None, costs: Sequence[FeatureCost]) -> None:
    if life is not None:
        console.print(life_of(life))
    console.print(counts_of(summary))
    console.print(costs_of(costs))
    console.print(verdict_of(summary))


def life_of(response: Response) -> Table:
    """Stage by stage: when each let the request go, counted from the producer's own timestamp."""
    table = Table(title=f"One request's life: {response.request_id} of {response.tenant_id}", title_justify="left")
    table.add_column("stage")
    table.add_column("left after", justify="right")
    table.add_column("took", justify="right")
    table.add_column("")
    stages = sorted(response.timings.stages.items(), key=lambda item: item[1])
    whole_ms = max(response.timings.total_ms, 1)
    before_ms = 0
    for stage, at_ms in stages:
        took_ms = at_ms - before_ms
        bar = " " * round(before_ms / whole_ms * BAR_CHARS) + "█" * max(round(took_ms / whole_ms * BAR_CHARS), 1)
        table.add_row(stage, f"{at_ms} ms", f"{took_ms} ms", bar)
        before_ms = at_ms
    table.caption = (
        f"{response.status}, {response.model}, {response.attempts} attempt(s), {_usd(response.cost_usd)} USD; "
        f"{response.timings.provider_ms} ms of {response.timings.total_ms} ms were the provider's"
    )
    return table


def counts_of(summary: Summary) -> Table:
    table = Table(title="Answers", title_justify="left")
    for name in ("status", "cache", "model"):
        table.add_column(f"by {name}")
        table.add_column("", justify="right")
    columns = [_ranked(c) for c in (summary.by_status, summary.by_cache, summary.by_model)]
    for line in range(max(map(len, columns), default=0)):
        cells: list[str] = []
        for column in columns:
            cells += [column[line][0], str(column[line][1])] if line < len(column) else ["", ""]
        table.add_row(*cells)
    return table


def _ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def costs_of(rows: Sequence[FeatureCost]) -> Table:
    title = "Costs, as ClickHouse has them (in, out: tokens; cost, saved: USD)"
    table = Table(title=title, title_justify="left", show_footer=True, box=SIMPLE_HEAVY, padding=0)
    table.add_column("tenant", no_wrap=True)
    table.add_column("feature", no_wrap=True, overflow="ellipsis")
    for heading, total in (
        ("asked", str(sum(row.requests for row in rows))),
        ("calls", str(sum(row.calls for row in rows))),
        ("in", str(sum(row.input_tokens for row in rows))),
        ("out", str(sum(row.output_tokens for row in rows))),
        ("cost", _usd(sum((row.cost_usd or Decimal(0) for row in rows), Decimal(0)))),
        ("saved", _usd(sum((row.saved_usd or Decimal(0) for row in rows), Decimal(0)))),
    ):
        table.add_column(heading, footer=total, justify="right", no_wrap=True)
    for row in rows:
        counts = (row.requests, row.calls, row.input_tokens, row.output_tokens)
        money = (_usd(row.cost_usd), _usd(row.saved_usd))
        table.add_row(row.tenant or "unproven", row.feature or "-", *map(str, counts), *money)
    return table


def _usd(amount: Decimal | None) -> str:
    """To the millionth, for looking at; the exact amounts are in ClickHouse."""
    return "" if amount is None else f"{amount:.6f}"


def _exact(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


def verdict_of(summary: Summary) -> str:
    missing, twice = len(summary.missing), len(summary.duplicates)
    lines = [
        f"{summary.requests} requests, {summary.responses} responses, {missing} missing, {twice} answered twice",
        f"added latency p50 {summary.added_ms['p50']} ms, p99 {summary.added_ms['p99']} ms",
    ]
    if summary.provider_bill_usd is None:
        lines.append(f"our cost {summary.cost_usd} USD; the real providers' bill is theirs to send")
    else:
        ours, theirs = _exact(summary.cost_usd), _exact(summary.provider_bill_usd)
        same = "the same" if summary.cost_matches else "DIFFERENT"
        lines.append(
            f"our cost {ours} USD, the provider's bill {theirs} USD: {same}"
            + (f" ({summary.unknown_costs} rows without a known cost)" if summary.unknown_costs else "")
        )
    if (left := summary.reconciled) is not None:
        lines.append(
            f"after reconciling: {left.adjusted_rows} rows adjusted by {_exact(left.adjusted_usd)} USD, difference "
            f"{_exact(left.difference_usd)} USD, {left.unexplained_rows} unexplained rows, "
            f"{left.wrong_prices} wrong prices"
        )
    lines += [f"missing: {', '.join(summary.missing[:10])}"] if summary.missing else []
    lines += [f"answered twice: {', '.join(summary.duplicates[:10])}"] if summary.duplicates else []
    return "\n".join(lines)
