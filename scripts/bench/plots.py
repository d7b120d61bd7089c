"""The plots of docs/performance.md, as SVG. Drawn without a display, and the same bytes for the same figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scripts.bench.report import NAMES

_STYLE: Final[Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "millrace",
    "svg.fonttype": "none",
}
_WIDE: Final = (9.0, 3.2)
_TALL: Final = (9.0, 6.4)
_COLORS: Final = ("#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#edc948", "#b07aa1", "#9c755f", "#bab0ac")


def draw(result: Mapping[str, Any], folder: Path) -> list[Path]:
    """Each plot that the result has figures for; returns what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn: list[Path] = []
    with mpl.rc_context(_STYLE):
        if result["throughput"]:
            drawn.append(_saved(_cpu(result), folder / "cpu.svg"))
        if result["latency"]:
            drawn.append(_saved(_latency(result), folder / "latency.svg"))
    return drawn


def draw_replay(minutes: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """`minutes`: of the trace, in order, each with its requests, what was added, and the queue."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(_STYLE):
        return _saved(_replay(minutes), path)


def _cpu(result: Mapping[str, Any]) -> Figure:
    """One bar for each contender; ours is made up of its stages."""
    figure = Figure(figsize=_WIDE, layout="constrained")
    axes: Axes = figure.subplots()
    names = list(result["throughput"])
    # LiteLLM's takes many times as much as all others: its bar is cut, and what it says is true
    limit = 1.3 * max(
        said["cpu_us_per_request"]["high"] for name, said in result["throughput"].items() if name != "litellm"
    )
    for row, name in enumerate(names):
        used = result["throughput"][name]["cpu_us_per_request"]
        if name == "millrace" and result["stages"]:
            _stack(axes, row, {stage: said["cpu_us"]["median"] for stage, said in result["stages"].items()})
        else:
            axes.barh(row, used["median"], color=_COLORS[-1])
        axes.errorbar(used["median"], row, xerr=_whiskers([used]), color="black", capsize=3)
        axes.text(min(used["high"], limit * 0.9) + limit * 0.01, row, f"{used['median']:.0f}", va="center")
    axes.set_yticks(range(len(names)), [NAMES[name] for name in names])
    axes.invert_yaxis()
    axes.set_xlabel("CPU µs per request, median with the lowest and the highest round")
    axes.set_xlim(0, limit)
    figure.legend(ncols=8, fontsize=7, loc="outside upper center")
    return figure


def _stack(axes: Axes, row: int, parts: Mapping[str, float]) -> None:
    left = 0.0
    for color, (stage, width) in zip(_COLORS, parts.items(), strict=False):
        axes.barh(row, width, left=left, color=color, label=stage)
        left += width


def _latency(result: Mapping[str, Any]) -> Figure:
    """Above: what is added, at three quantiles. Below: where its median goes."""
    figure = Figure(figsize=_TALL, layout="constrained")
    above, below = figure.subplots(2, 1)
    quantiles = ("p50_ms", "p95_ms", "p99_ms")
    names = [name for name, said in result["latency"].items() if said["p50_ms"]]
    for number, name in enumerate(names):
        said = [result["latency"][name][each] for each in quantiles]
        at = [place + (number - 1) * 0.26 for place in range(len(quantiles))]
        medians = [each["median"] for each in said]
        above.bar(at, medians, 0.24, label=NAMES[name], color=_COLORS[number], yerr=_whiskers(said), capsize=3)
    above.set_xticks(range(len(quantiles)), [each.removesuffix("_ms") for each in quantiles])
    above.set_ylabel("added latency, ms")
    above.legend()
    split = {name: result["latency"][name]["parts_ms"] for name in names if result["latency"][name]["parts_ms"]}
    stages = list(dict.fromkeys(stage for parts in split.values() for stage in parts["p50"]))
    for row, parts in enumerate(split.values()):
        left = 0.0
        for color, stage in zip(_COLORS, stages, strict=False):
            width = max(parts["p50"].get(stage, 0.0), 0.0)
            below.barh(row, width, left=left, color=color, label=stage if row == 0 else None)
            left += width
    below.set_yticks(range(len(split)), [NAMES[name] for name in split])
    below.invert_yaxis()
    below.set_xlabel("median ms up to the end of each stage, without the provider's")
    below.legend(ncols=7, fontsize=7, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def _replay(minutes: Sequence[Mapping[str, Any]]) -> Figure:
    figure = Figure(figsize=(9.0, 8.0), layout="constrained")
    panels = figure.subplots(3, 1, sharex=True)
    at = [each["minute"] for each in minutes]
    panels[0].bar(at, [each["requests"] for each in minutes], color=_COLORS[-1], width=0.9)
    panels[0].set_ylabel("requests in the minute")
    for panel, what in zip(panels[1:], ("added_ms", "queue_ms"), strict=True):
        for color, share in zip(_COLORS, ("p50", "p95", "p99"), strict=False):
            panel.plot(at, [each[what][share] for each in minutes], color=color, label=share)
        panel.set_ylabel("added latency, ms" if what == "added_ms" else "waiting for a provider's place, ms")
        panel.set_yscale("symlog", linthresh=10)
        panel.legend(ncols=3)
    panels[-1].set_xlabel("minute of the trace")
    return figure


def _whiskers(said: Sequence[Mapping[str, Any]]) -> list[list[float]]:
    return [[each["median"] - each["low"] for each in said], [each["high"] - each["median"] for each in said]]


def _saved(figure: Figure, path: Path) -> Path:
    figure.savefig(path, format="svg", metadata={"Date": None})
    return path
