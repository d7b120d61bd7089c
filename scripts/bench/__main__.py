"""`python -m scripts.bench`: what a request costs, measured on this machine. Everything it starts ends with it."""

import signal
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from scripts.bench import baseline, comparison, long_runs, page, plots, report
from scripts.bench.flame import flame
from scripts.bench.long_runs import PAGE, RESULTS, Results
from scripts.bench.plan import PLANS
from scripts.bench.screen import FOLDER, AsObject, Seed, Steps, print_json, telling

app = typer.Typer(
    name="python -m scripts.bench",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Each command starts a broker, a ClickHouse, a provider and every stage in .millrace/bench, and stops them "
    "again. Close what else works on this machine: CPU per request stands other work, latency does not.",
)


@app.callback()
def bench() -> None:
    """Measure what a request costs here, beside the least it could cost and beside others."""


@app.command(epilog="Example: python -m scripts.bench run --plan quick")
def run(
    plan: Annotated[str, typer.Option(help="full (half an hour), quick (two minutes), tiny (tests).")] = "full",
    seed: Seed = 7,
    results: Results = RESULTS,
    as_baseline: Annotated[
        bool, typer.Option("--as-baseline", help="Keep the result as baseline.json, to compare later runs with.")
    ] = False,
    as_object: AsObject = False,
) -> None:
    """Compare Millrace with a minimal loop, bare hops, Faust and LiteLLM, everybody in turn on one broker.

    Writes latest.json. A full run also draws the plots and writes the tables of docs/performance.md; a quick one says
    whether a stage got slower than the baseline, as a ratio to the minimal loop of the same run.
    """
    if plan not in PLANS:
        raise typer.BadParameter(f"there is no plan {plan}: choose one of {', '.join(PLANS)}")
    with telling(as_object=as_object) as console:
        with Steps(console) as step:
            result = comparison.compare(PLANS[plan], seed, FOLDER, results / "raw" / plan, step)
        comparison.write(result, results / "latest.json")
        if as_baseline:
            comparison.write(result, results / "baseline.json")
        if plan == "full" and PAGE.exists():
            drawn = plots.draw(result, PAGE.with_suffix(""))
            page.rewrite(PAGE, "bench", page.figures(result, drawn, PAGE))
        _show(console, result, results, compares=not as_baseline and plan != "full")
    if as_object:
        print_json(result)


@app.command(epilog="Example: python -m scripts.bench profile --stage validate")
def profile(
    stage: Annotated[str, typer.Option(help="validate, limit, cache, route, invoke, postprocess, sink or watch.")],
    seconds: Annotated[int, typer.Option(min=1, help="How long to sample.")] = 15,
    output: Annotated[Path | None, typer.Option(help="The SVG; default: docs/performance/flame-STAGE.svg.")] = None,
    seed: Seed = 7,
) -> None:
    """Draw a flame graph of one stage while it works through a backlog."""
    svg = output or PAGE.with_suffix("") / f"flame-{stage}.svg"
    with telling(as_object=False) as console:
        with Steps(console) as step:
            flame(stage, seconds, seed, FOLDER, svg, step)
        console.print(f"written to {svg}: open it in a browser, click to zoom", highlight=False)


app.command(epilog="Example: python -m scripts.bench concurrency --in-flight 10000")(long_runs.concurrency)
app.command(epilog="Example: python -m scripts.bench growth --backlog 1000000")(long_runs.growth)
app.command(epilog="Example: python -m scripts.bench scaling --rounds 3")(long_runs.scaling)
app.command(epilog="Example: python -m scripts.bench sink --rows 200000")(long_runs.sink)
app.command(epilog="Example: python -m scripts.bench replay --trace azure_llm_2023_conv.csv --speed 20")(
    long_runs.replay
)


def _show(console: Console, result: dict[str, Any], results: Path, *, compares: bool) -> None:
    for table in report.tables(result):
        report.show(console, table)
    for name, why in result["missing"].items():
        console.print(f"not measured: {name}: {why}", highlight=False)
    provider = result["provider"]
    console.print(
        f"the provider alone: {provider['answers_per_s']} answers/s, {provider['answers_per_cpu_s']} for a second of "
        f"its CPU; written to {results / 'latest.json'}",
        highlight=False,
    )
    if compares:
        _compare(console, result, results / "baseline.json")


def _compare(console: Console, result: dict[str, Any], path: Path) -> None:
    try:
        found = baseline.compare(baseline.read(path), result)
    except baseline.UnfitBaseline as unfit:
        console.print(f"not compared: {unfit}", highlight=False)
        return
    report.show(console, report.compared(found))
    console.print(report.verdict_line(found), highlight=False)


def _end_on_sigterm(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end_on_sigterm)
    app()
