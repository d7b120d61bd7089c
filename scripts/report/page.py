"""The figures of some days as one HTML page, readable in light and dark."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from html import escape

from scripts.report.plots import COLOURS, line, stacked
from sinks.weekly import Amount, Figures

_OTHERS = "all others"
_STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --dim: #667085; --paper: #fff; --rule: #d9dee6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --dim: #98a2b3; --paper: #14181f; --rule: #343b47; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 760px;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
svg { width: 100%; height: auto; } svg text { font-size: 11px; fill: var(--dim); }
.axis { stroke: var(--dim); } .grid { stroke: var(--rule); stroke-dasharray: 3; }
.s0 { fill: none; stroke: #4c78a8; stroke-width: 2; }
table { border-collapse: collapse; width: 100%; } td, th { padding: .2rem .5rem; border-bottom: 1px solid var(--rule); }
th { text-align: left; color: var(--dim); font-weight: 500; }
.n { text-align: right; font-variant-numeric: tabular-nums; }
.bar { width: 30%; } .bar i { display: block; height: .7rem; background: #4c78a8; }
.key i { display: inline-block; width: .7rem; height: .7rem; margin: 0 .3rem 0 1rem; } .dim { color: var(--dim); }
"""
_PALETTE = ("#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#9d755d", "#8a8f98")


def page(title: str, start: datetime, end: datetime, found: Figures, made_at: datetime) -> str:
    """`start` to before `end`, UTC. Names are shown as text, whatever they hold."""
    days = [start.date() + timedelta(days=at) for at in range((end - start).days)]
    names = [f"{day:%a %d}" for day in days]
    by_day = {each.day: each for each in found.quality}
    shares = [100 * day.failed / day.requests if (day := by_day.get(each)) and day.requests else None for each in days]
    p95s = [float(day.p95_ms) if (day := by_day.get(each)) and day.requests > day.failed else None for each in days]
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{_headline(found)}</p>",
        "<h2>Cost by day and model</h2>",
        *_costs(days, names, found),
        "<h2>Features</h2>",
        _table(found.features, "requests"),
        "<h2>Tenants</h2>",
        _table(found.tenants, "requests"),
        "<h2>Waste</h2><p class=dim>Attempts that did not give their request's answer.</p>",
        _table(found.waste, "attempts"),
        "<h2>Saved</h2><p class=dim>What answers that needed no call would have cost.</p>",
        _table(found.saved, "requests"),
        "<h2>Requests without an answer</h2>",
        line(names, shares, "%"),
        "<h2>From request to answer, p95</h2>",
        line(names, p95s, "ms"),
        "<h2>Not certain yet</h2>",
        "<p class=dim>Calls whose cost is a guess or not known, and no provider's record has said more since.</p>",
        _table(found.uncertain, "calls"),
        f"<p class=dim>Made {made_at:%Y-%m-%d %H:%M} UTC, for {start:%Y-%m-%d} to before {end:%Y-%m-%d} UTC.</p>",
    ]
    fills = "".join(f".c{number} {{ fill: {colour}; background: {colour}; }}" for number, colour in enumerate(_PALETTE))
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}{fills}</style>'
    viewport = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}{viewport}</head>\n<body>\n'
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _headline(found: Figures) -> str:
    now, before = found.total, found.before
    told = f"<strong>{_usd(now.usd)} USD</strong> for {now.count} requests"
    if before.usd and now.usd is not None:
        told += f", {(now.usd - before.usd) / before.usd:+.1%} against the time before ({_usd(before.usd)} USD)"
    return told + ". Adjustments made since are in all amounts."


def _costs(days: Sequence[date], names: Sequence[str], found: Figures) -> list[str]:
    spent: dict[str, Decimal] = {}
    for _, model, usd in found.days:
        spent[model] = spent.get(model, Decimal(0)) + usd
    ranked = sorted(spent, key=lambda model: (-spent[model], model))
    models = ranked if len(ranked) <= COLOURS else ranked[: COLOURS - 1]
    values = {model: [0.0] * len(days) for model in (*models, *([_OTHERS] if len(ranked) > COLOURS else []))}
    for day, model, usd in found.days:
        if day in days:
            values[model if model in models else _OTHERS][days.index(day)] += float(usd)  # for drawing only
    key = "".join(f'<i class="c{number}"></i>{escape(model or "(none)")}' for number, model in enumerate(values))
    return [stacked(names, list(values.items()), "USD"), f'<p class="key">{key}</p>']


def _table(amounts: Sequence[Amount], counted: str) -> str:
    if not amounts:
        return "<p>none</p>"
    most = max((each.usd or Decimal(0) for each in amounts), default=Decimal(0))
    rows = "".join(
        f"<tr><td>{escape(each.name or '(none)')}</td><td class=n>{each.count}</td><td class=n>{_usd(each.usd)}</td>"
        f'<td class=bar><i style="width: {_percent(each.usd, most):.1f}%"></i></td></tr>'
        for each in amounts
    )
    return f"<table><tr><th>name</th><th class=n>{counted}</th><th class=n>USD</th><th></th></tr>{rows}</table>"


def _percent(usd: Decimal | None, most: Decimal) -> Decimal:
    return max(100 * usd / most, Decimal(0)) if usd and most else Decimal(0)


def _usd(amount: Decimal | None) -> str:
    return "-" if amount is None else f"{amount:.6f}"
