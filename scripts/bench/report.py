"""What a run found, for a person to read on a terminal or on a page: the same tables for both."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table as RichTable

from scripts.bench.baseline import Compared

NAMES: Final[Mapping[str, str]] = {
    "floor": "floor: consume, bare call, produce",
    "millrace": "Millrace, cache off",
    "millrace_misses": "Millrace, cache on, all misses",
    "millrace_hits": "Millrace, all cache hits",
    "hop": "one bare hop",
    "faust_hop": "one Faust hop",
    "hops": "six bare hops",
    "litellm": "LiteLLM's proxy, over HTTP",
}
TARGETS: Final[Mapping[str, str]] = {
    "cpu_per_request_to_floor": "≤ 3",
    "throughput_to_floor": "≥ 0.4",
    "requests_per_cpu_second_to_litellm": "≥ 15",
    "added_latency_p50_to_hops": "≤ 1.5",
    "added_latency_p99_to_hops": "≤ 2",
}


@dataclass(frozen=True, slots=True)
class Table:
    """Cells are text; all columns but the first hold numbers."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(result: Mapping[str, Any]) -> Iterator[Table]:
    yield _ratios(result)
    yield _throughput(result)
    yield _apart(result)
    yield _stages(result)
    yield _latency(result)
    yield _parts(result)


def show(console: Console, shown: Table) -> None:
    table = RichTable(title=shown.title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(shown.headings):
        table.add_column(heading, justify="right" if number else "left")
    for row in shown.rows:
        table.add_row(*row)
    console.print(table)
    console.print()


def as_markdown(shown: Table) -> str:
    lines = [
        "| " + " | ".join(shown.headings) + " |",
        "|" + "|".join("---:" if number else "---" for number in range(len(shown.headings))) + "|",
        *("| " + " | ".join(row) + " |" for row in shown.rows),
    ]
    return f"**{shown.title}**\n\n" + "\n".join(lines) + "\n"


def compared(found: Sequence[Compared]) -> Table:
    rows = [
        (each.stage, _number(each.before.median), _number(each.now.median), f"{each.change:+.0%}", each.verdict)
        for each in found
    ]
    return Table(
        "Stages against the baseline: CPU as a share of the floor's request",
        ("stage", "before", "now", "change", "verdict"),
        rows,
    )


def verdict_line(found: Sequence[Compared]) -> str:
    slower = [f"{each.stage} {each.change:+.0%}" for each in found if each.verdict == "slower"]
    return f"SLOWER than the baseline: {', '.join(slower)}" if slower else "no stage is slower than the baseline"


def _ratios(result: Mapping[str, Any]) -> Table:
    rows = [
        (name.replace("_", " "), _spread(result["ratios_by_round"][name]), TARGETS[name]) for name in result["ratios"]
    ]
    return Table("Ratios within each round", ("ratio", "median (lowest to highest)", "target"), rows)


def _throughput(result: Mapping[str, Any]) -> Table:
    rows = [
        (
            NAMES[name],
            str(found["requests"]),
            _spread(found["requests_per_s"]),
            _spread(found["cpu_us_per_request"]),
            _spread(found["requests_per_cpu_s"]),
        )
        for name, found in result["throughput"].items()
    ]
    headings = ("who", "requests", "requests/s", "CPU µs/request", "requests/CPU s")
    return Table("Throughput: a backlog at once", headings, rows)


def _apart(result: Mapping[str, Any]) -> Table:
    rows = [
        (
            NAMES[name],
            *(_spread(used) for used in found["apart_cpu_us_per_request"].values()),
            _spread(found.get("millrace_idle_cpu_s_per_s")),
        )
        for name, found in result["throughput"].items()
    ]
    headings = ("who", "broker", "ClickHouse", "provider", "Millrace idling, CPU s/s")
    return Table("CPU of the others meanwhile, µs/request", headings, rows)


def _stages(result: Mapping[str, Any]) -> Table:
    rows = [(name, _spread(found["cpu_us"]), _spread(found["to_floor"])) for name, found in result["stages"].items()]
    return Table("CPU of each stage", ("stage", "µs/request", "share of the floor's request"), rows)


def _latency(result: Mapping[str, Any]) -> Table:
    columns = ("p50_ms", "p95_ms", "p99_ms")
    rows = [
        (NAMES[name], str(found["answers"]), *(_spread(found[each]) for each in columns))
        for name, found in result["latency"].items()
    ]
    plan = result["plan"]
    title = f"Added latency, ms, at {plan['latency_per_second']} requests/s, {plan['provider_latency_ms']} ms provider"
    return Table(title, ("who", "answers", "p50", "p95", "p99"), rows)


def _parts(result: Mapping[str, Any]) -> Table:
    found = {name: said["parts_ms"] for name, said in result["latency"].items() if said["parts_ms"]}
    columns = [(name, share) for name, parts in found.items() for share in parts]
    stages = dict.fromkeys(stage for parts in found.values() for said in parts.values() for stage in said)
    rows = [
        (stage, *(f"{found[name][share][stage]:.1f}" if stage in found[name][share] else "" for name, share in columns))
        for stage in stages
    ]
    headings = ("up to the end of", *(f"{NAMES[name]}, {share}" for name, share in columns))
    return Table("Where each millisecond goes, ms, without the provider's", headings, rows)


def _spread(said: Mapping[str, Any] | None) -> str:
    if said is None:
        return "not measured"
    if len(said["rounds"]) == 1:
        return _number(said["median"])
    return f"{_number(said['median'])} ({_number(said['low'])} to {_number(said['high'])})"


def _number(value: float) -> str:
    """Three figures that count."""
    if abs(value) >= 100:  # noqa: PLR2004  # no fraction of hundreds is known
        return f"{value:.0f}"
    return f"{value:.3g}"


def concurrency(found: Mapping[str, Any]) -> Table:
    rows = [
        ("ideal, s", _number(found["ideal_s"])),
        ("taken, s", _number(found["wall_s"])),
        ("taken / ideal (target ≤ 1.3)", _number(found["to_ideal"])),
        ("most at once at the provider", str(found["most_open"])),
        ("peak memory, MiB (target ≤ 1024)", _number(found["peak_rss_mb"])),
        ("CPU µs/call", _number(found["cpu_us_per_call"])),
        ("completed twice", str(found["repeated"])),
        ("looks at the group that found it disturbed", f"{found['disturbed']} of {found['looks']}"),
    ]
    title = f"{found['requests']} calls of {found['provider_s']:g} s through one invoke worker"
    return Table(title, ("what", f"{found['in_flight']} in flight"), rows)


def growth(found: Mapping[str, Any]) -> Table:
    rows = [
        (
            name,
            *(str(case["case"][what] or "") for what in ("backlog", "tenants", "entries", "ids")),
            _number(case["total_us"]),
            _number(case["to_small"]),
            "" if case["bytes_each"] is None else str(case["bytes_each"]),
        )
        for name, case in found["cases"].items()
    ]
    headings = ("case", "backlog", "tenants", "entries", "ids", "CPU µs/request", "to small (≤ 1.2)", "bytes each")
    return Table(f"Growth, over {found['requests']} requests", headings, rows)


def scaling(found: Mapping[str, Any]) -> Table:
    rows = [
        (
            stage,
            *(_spread(said[workers][what]) for what in ("per_s", "cpu_us") for workers in ("one", "two")),
            _spread(said["work_to_one"]),
            _spread(said["cpu_to_one"]),
        )
        for stage, said in found["stages"].items()
    ]
    headings = ("stage", "one: events/s", "two", "one: CPU µs/event", "two", "work (≥ 1.8 with cores)", "CPU")
    title = f"Two workers and one; invoke with {found['in_flight']} calls of {found['provider_s']:g} s at once each"
    return Table(title, headings, rows)


def sink(found: Mapping[str, Any]) -> Table:
    rows = [
        (title, *(_spread(found[what][who]) for who in ("sink", "bare", "to_bare")))
        for what, title in (("rows_per_s", "rows/s (target ≥ 50 000)"), ("cpu_us", "CPU µs/row (target ≤ 2 × bare)"))
    ]
    title = f"{found['rows']} call rows from Kafka into ClickHouse, {found['batch_rows']} an insert"
    return Table(title, ("what", "the sink", "a bare insert", "ratio"), rows)


def replay(found: Mapping[str, Any]) -> Table:
    rows = [
        (title, *(_number(found[what][share]) for share in ("p50", "p95", "p99")))
        for what, title in (("added_ms", "added latency, ms"), ("queue_ms", "waiting for a place, ms"))
    ]
    title = (
        f"{found['requests']} requests of a trace at {found['speed']:g} × its speed: {found['lost']} lost, "
        f"{found['answered_twice']} answered twice"
    )
    return Table(title, ("what", "p50", "p95", "p99"), rows)
