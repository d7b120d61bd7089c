"""docs/performance.md: what people wrote stays, and what is between the marks is written anew by every whole run."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from scripts.bench.report import as_markdown, tables

_MARKED: Final = r"(<!-- {name} -->\n).*?(<!-- end of {name} -->)"


class NotMarked(Exception):
    """The page has no place for this."""


def written(page: str, name: str, text: str) -> str:
    """The page with this text between the marks of that name. Raises NotMarked."""
    marked = re.compile(_MARKED.format(name=re.escape(name)), re.DOTALL)
    if not marked.search(page):
        raise NotMarked(f"the page has no <!-- {name} --> … <!-- end of {name} -->: put both where it shall stand")
    return marked.sub(lambda marks: f"{marks[1]}\n{text.strip()}\n\n{marks[2]}", page)


def figures(result: Mapping[str, Any], plots: Sequence[Path], page: Path) -> str:
    """All tables of a run, and its plots by paths relative to the page."""
    machine = result["machine"]
    when = datetime.fromtimestamp(result["started_at_ms"] / 1000, UTC)
    intro = (
        f"Measured on {when:%Y-%m-%d}: {machine['cores']} cores of {machine['cpu']}, {machine['memory_gib']} GiB, "
        f"Python {machine['python']}, load average {machine['load_average']} before the start; seed {result['seed']}, "
        f"{result['plan']['name']} run. The provider alone gives {result['provider']['answers_per_s']} answers/s "
        f"({result['provider']['answers_per_cpu_s']} for each second of its CPU)."
    )
    missing = [f"- not measured: {name}: {why}" for name, why in result["missing"].items()]
    pictures = [f"![{plot.stem}]({plot.relative_to(page.parent)})" for plot in plots]
    parts = [intro, *(["\n".join(missing)] if missing else []), *pictures, *map(as_markdown, tables(result))]
    return "\n\n".join(parts)


def rewrite(page: Path, name: str, text: str) -> None:
    page.write_text(written(page.read_text(), name, text))
