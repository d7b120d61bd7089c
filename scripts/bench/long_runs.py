"""The commands that look at one thing: many calls at once, much of everything, a real hour, the sink alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from scripts.bench import page, plots, report, trace
from scripts.bench.comparison import write
from scripts.bench.concurrency import hold
from scripts.bench.growth import cases, grow
from scripts.bench.provider.pace import Pace
from scripts.bench.replay import replay as replayed
from scripts.bench.rig import Shape
from scripts.bench.scaling import scale, trials
from scripts.bench.screen import FOLDER, AsObject, Seed, Steps, print_json, telling
from scripts.bench.storing import store

RESULTS: Final = Path("bench/results")
PAGE: Final = Path("docs/performance.md")

Results = Annotated[Path, typer.Option(help="Folder for results; raw/ below it holds each round.")]


def concurrency(
    requests: Annotated[int, typer.Option(min=1, help="How many go through the worker.")] = 20_000,
    in_flight: Annotated[int, typer.Option(min=1, help="How many of them at once.")] = 10_000,
    provider_s: Annotated[float, typer.Option(min=0.01, help="How long each call takes.")] = 5.0,
    results: Results = RESULTS,
    as_object: AsObject = False,
) -> None:
    """Hold thousands of calls in one invoke worker and compare the time with the ideal.

    Writes concurrency.json. All requests are routed before it starts and the other stages stopped: it is alone.
    """
    with telling(as_object=as_object) as console:
        with Steps(console) as step:
            found = hold(requests, in_flight, provider_s, FOLDER, step)
        _finish(console, found, results / "concurrency.json", report.concurrency(found))
    _print(found, as_object=as_object)


def growth(
    requests: Annotated[int, typer.Option(min=1, help="How many are measured in each case.")] = 10_000,
    backlog: Annotated[int, typer.Option(min=0, help="Requests that wait already; 0 leaves the case out.")] = 1_000_000,
    tenants: Annotated[int, typer.Option(min=0, help="Tenants more than those that ask.")] = 10_000,
    entries: Annotated[int, typer.Option(min=0, help="Answers in the cache.")] = 100_000,
    ids: Annotated[int, typer.Option(min=0, help="Request ids that are remembered.")] = 1_000_000,
    results: Results = RESULTS,
    as_object: AsObject = False,
) -> None:
    """Compare what a request costs when there is much of everything with the small case, one thing at a time.

    Writes growth.json, with the memory of each tenant, entry and id. Each case has a stack of its own.
    """
    with telling(as_object=as_object) as console:
        with Steps(console) as step:
            found = grow(cases(backlog, tenants, entries, ids), requests, FOLDER, step)
        _finish(console, found, results / "growth.json", report.growth(found))
    _print(found, as_object=as_object)


def scaling(
    calls: Annotated[int, typer.Option(min=100, help="Of invoke, in each turn.")] = 4_000,
    events: Annotated[int, typer.Option(min=1_000, help="Of validate, in each turn.")] = 40_000,
    rounds: Annotated[int, typer.Option(min=1, help="One worker and two take turns.")] = 3,
    in_flight: Annotated[int, typer.Option(min=1, help="Calls at once, of each worker of invoke.")] = 256,
    provider_s: Annotated[float, typer.Option(min=0.01, help="How long each call takes.")] = 1.0,
    results: Results = RESULTS,
    as_object: AsObject = False,
) -> None:
    """Compare two workers of a stage with one, on the same backlog.

    Writes scaling.json: invoke, which its lanes hold back, and validate, which takes all the CPU that it gets.
    """
    with telling(as_object=as_object) as console:
        with Steps(console) as step:
            found = scale(trials(calls, events), rounds, in_flight, provider_s, FOLDER, step)
        _finish(console, found, results / "scaling.json", report.scaling(found))
    _print(found, as_object=as_object)


def sink(
    rows: Annotated[int, typer.Option(min=40_000, help="Of each round; at least two batches of the sink.")] = 200_000,
    rounds: Annotated[int, typer.Option(min=1, help="The sink and the bare insert take turns.")] = 3,
    results: Results = RESULTS,
    as_object: AsObject = False,
) -> None:
    """Compare the sink with a bare insert of the same rows by ClickHouse's driver.

    Writes sink.json. The rows wait on Kafka, the other stages are stopped; both sync to disk as tables are set.
    """
    with telling(as_object=as_object) as console:
        with Steps(console) as step:
            found = store(rows, rounds, FOLDER, step)
        _finish(console, found, results / "sink.json", report.sink(found))
    _print(found, as_object=as_object)


def replay(
    trace_file: Annotated[
        Path, typer.Option("--trace", help="CSV with TIMESTAMP, ContextTokens and GeneratedTokens; it is only read.")
    ],
    speed: Annotated[float, typer.Option(min=0.1, help="How many times faster than it was recorded.")] = 20.0,
    most: Annotated[int | None, typer.Option(min=1, help="Only so many of its first requests.")] = None,
    first_token_ms: Annotated[float, typer.Option(min=0, help="Of the provider, whatever is asked.")] = 150.0,
    prefill_tokens_per_s: Annotated[float, typer.Option(min=1, help="How fast it reads a prompt.")] = 8_000.0,
    decode_tokens_per_s: Annotated[float, typer.Option(min=1, help="How fast it writes an answer.")] = 100.0,
    in_flight: Annotated[int, typer.Option(min=1, help="Calls at once.")] = 512,
    seed: Seed = 7,
    results: Results = RESULTS,
    as_object: AsObject = False,
) -> None:
    """Replay a recorded trace: its arrival times, and prompts and answers of its lengths.

    Writes replay.json and a plot: added latency and waiting time by minute of the trace. The provider is not faster
    than it was: only the arrivals are.
    """
    pace = Pace(
        latency_ms=first_token_ms, prefill_tokens_per_s=prefill_tokens_per_s, decode_tokens_per_s=decode_tokens_per_s
    )
    with telling(as_object=as_object) as console:
        arrivals = trace.read(trace_file)[:most]
        raw = results / "raw" / "replay.json"
        with Steps(console) as step:
            found = replayed(arrivals, speed, pace, Shape(seed=seed, in_flight=in_flight), FOLDER, raw, step)
        _finish(console, found, results / "replay.json", report.replay(found))
        if PAGE.exists():
            plots.draw_replay(found["minutes"], PAGE.with_suffix("") / "replay.svg")
        else:
            plots.draw_replay(found["minutes"], results / "replay.svg")
    _print(found, as_object=as_object)


def _finish(console: Console, found: dict[str, Any], path: Path, table: report.Table) -> None:
    """The page has a place for each of these, which a run of any size fills: its numbers say how large it was."""
    write(found, path)
    report.show(console, table)
    console.print(f"written to {path}", highlight=False)
    if PAGE.exists():
        page.rewrite(PAGE, path.stem, report.as_markdown(table))


def _print(found: Mapping[str, Any], *, as_object: bool) -> None:
    if as_object:
        print_json(found)
