"""A notebook for analysts, against the embedded engine or a server: `marimo edit docs/notebook.py`.

Where ClickHouse is comes from MILLRACE_CLICKHOUSE_*, as for every command; all it needs is the right to read.
"""

import marimo

app = marimo.App(width="medium", app_title="What the calls cost")


@app.cell
def _():
    from contextlib import closing
    from datetime import UTC, datetime, timedelta

    import marimo as mo

    from scripts.report.plots import line, stacked
    from sinks.connection import connect
    from sinks.queries import DIMENSIONS, Filters, costs
    from sinks.settings import ClickHouseSettings
    from sinks.weekly import figures

    return (
        ClickHouseSettings,
        DIMENSIONS,
        Filters,
        UTC,
        closing,
        connect,
        costs,
        datetime,
        figures,
        line,
        mo,
        stacked,
        timedelta,
    )


@app.cell
def _(DIMENSIONS, mo):
    days = mo.ui.slider(1, 90, value=7, label="days until now")
    dimension = mo.ui.dropdown([*DIMENSIONS, "label"], value="tenant", label="a line for each")
    label = mo.ui.text(value="team", label="which label")
    tenant = mo.ui.text(value="", label="only this tenant")
    mo.vstack([mo.md("# What the calls cost"), mo.hstack([days, dimension, label, tenant])])
    return days, dimension, label, tenant


@app.cell
def _(
    ClickHouseSettings,
    Filters,
    UTC,
    closing,
    connect,
    costs,
    datetime,
    days,
    dimension,
    figures,
    label,
    tenant,
    timedelta,
):
    settings = ClickHouseSettings()
    until = datetime.now(UTC)
    since = until - timedelta(days=days.value)
    by = f"label:{label.value}" if dimension.value == "label" else dimension.value
    with closing(connect(settings)) as connection:
        only = Filters(tenants=(tenant.value,) if tenant.value else ())
        lines = costs(connection, settings.database, by, since, until=until, filters=only)
        found = figures(connection, settings.database, since, until)
    return by, found, lines, settings, since, until


@app.cell
def _(by, lines, mo):
    table = [
        {
            by: each.key or "(none)",
            "requests": each.requests,
            "attempts": each.attempts,
            "cost USD": None if each.cost_usd is None else str(each.cost_usd),
            "saved USD": None if each.saved_usd is None else str(each.saved_usd),
            "cost unknown": each.cost_unknown,
        }
        for each in lines
    ]
    mo.ui.table(table, selection=None) if table else mo.md("no calls in this time")
    return (table,)


@app.cell
def _(found, line, mo, since, stacked, timedelta, until):
    span = [since.date() + timedelta(days=at) for at in range((until.date() - since.date()).days + 1)]
    names = [f"{day:%d %b}" for day in span]
    models = sorted({model for _, model, _ in found.days})
    spent = {(day, model): float(usd) for day, model, usd in found.days}
    p95_ms = {each.day: float(each.p95_ms) for each in found.quality}
    bars = stacked(names, [(model, [spent.get((day, model), 0.0) for day in span]) for model in models], "USD")
    colours = "".join(
        f".c{at} {{ fill: {colour} }}"
        for at, colour in enumerate(("#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2"))
    )
    style = f"<style>svg text {{ font-size: 11px; fill: gray }} .axis, .grid, .s0 {{ stroke: gray; fill: none }} {colours}</style>"
    plots = style + bars + line(names, [p95_ms.get(day) for day in span], "ms")
    mo.Html(plots)
    return (plots,)


@app.cell
def _(closing, connect, mo, settings):
    # What you ask yourself; the views and their columns are in docs/analytics.md.
    question = f"""
        SELECT toDate(produced_at) AS day, model_used, count() AS attempts
        FROM {settings.database}.call_rows FINAL
        WHERE attempt_no > 0
        GROUP BY day, model_used
        ORDER BY day DESC, attempts DESC
        LIMIT 20
    """
    with closing(connect(settings)) as asked:
        result = asked.query(question)
    answer = [dict(zip(result.column_names, map(str, row), strict=True)) for row in result.result_rows]
    mo.ui.table(answer, selection=None) if answer else mo.md("nothing found")
    return (answer,)


if __name__ == "__main__":
    app.run()
