"""What a run did and found, for a person and for a program."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scripts.chaos.baseline import part_of
from scripts.chaos.coverage import by_kind, by_lane
from scripts.chaos.plan import RunPlan
from scripts.chaos.verdict import Invariant, Verdict

Line = dict[str, Any]


def read_journal(path: Path) -> list[Line]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def faults(journal: Iterable[Line]) -> dict[str, dict[str, int]]:
    """How often each kind happened, by the part it happened to."""
    found: dict[str, Counter[str]] = {}
    for line in journal:
        if line["event"] == "injected":
            found.setdefault(line["fault"], Counter())[part_of(line["target"])] += 1
    return {kind: dict(sorted(parts.items())) for kind, parts in sorted(found.items())}


def unwanted_ends(journal: Iterable[Line]) -> dict[str, int]:
    """Processes that ended though no fault asked for it, by part."""
    ends = [part_of(line["target"]) for line in journal if line["event"] == "died" and not line["wanted"]]
    return dict(sorted(Counter(ends).items()))


def as_json(plan: RunPlan, invariants: Sequence[Invariant], verdict: Verdict | None, journal: list[Line]) -> Line:
    return {
        "seed": plan.seed,
        "minutes": plan.minutes,
        "rate": plan.rate,
        "held": not any(each.violations for each in invariants),
        "sent": verdict.sent if verdict else None,
        "answered": verdict.answered if verdict else None,
        "faults": faults(journal),
        "skipped": sum(line["event"] == "skipped" for line in journal),
        "kinds": by_kind(plan.schedule, journal),
        "lanes": by_lane(plan.schedule, journal),
        "unwanted_ends": unwanted_ends(journal),
        "invariants": [each.model_dump(mode="json") for each in invariants],
        "replay": plan.replay,
        "folder": str(plan.layout.folder),
    }


def show(console: Console, report: Line) -> None:
    injected = Table("fault", "planned", "injected", "skipped", "to", title="Faults injected")
    for kind, counts in report["kinds"].items():
        parts = report["faults"].get(kind, {})
        injected.add_row(kind, *map(str, counts.values()), ", ".join(f"{part} {n}" for part, n in parts.items()))
    injected.add_section()
    for lane, counts in report["lanes"].items():
        injected.add_row(f"all of {lane}", *map(str, counts.values()))
    console.print(injected)
    checked = Table("invariant", "checks", "violations", title="Invariants checked")
    for each in report["invariants"]:
        colour = "red" if each["violations"] else "green"
        checked.add_row(escape(each["name"]), str(each["checks"]), f"[{colour}]{each['violations']}[/]")
    console.print(checked)
    for each in report["invariants"]:
        for example in each["examples"]:
            console.print(f"[red]✗[/] {escape(each['name'])}: {escape(example)}", highlight=False)
    total = sum(sum(parts.values()) for parts in report["faults"].values())
    console.print(
        f"{report['sent']} requests, {report['answered']} answered; {total} faults, {report['skipped']} skipped; "
        f"processes that ended by themselves: {_named(report['unwanted_ends'])}",
        highlight=False,
    )
    console.print(f"seed {report['seed']}; again: {report['replay']}; files: {report['folder']}", highlight=False)


def _named(counts: dict[str, int]) -> str:
    return ", ".join(f"{part} {count}" for part, count in counts.items()) or "none"
