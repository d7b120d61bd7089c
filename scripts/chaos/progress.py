"""What a run is doing now, on a terminal; elsewhere one line for each thing that happens."""

import time
from collections.abc import Callable
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from scripts.chaos.conductor import Run
from scripts.chaos.verdict import Verdict


def heard_on(console: Console) -> Callable[[dict[str, Any]], None]:
    """Prints the journal as it is written."""
    started_s = time.monotonic()

    def heard(line: dict[str, Any]) -> None:
        words = [str(line[name]) for name in ("event", "fault", "target") if name in line]
        special = {name: value for name, value in line.items() if name in _WORTH_A_WORD and value not in (None, "")}
        words += [f"{name}={value}" for name, value in special.items()]
        console.print(f"{time.monotonic() - started_s:6.1f} s  {escape(' '.join(words))}", highlight=False)

    return heard


_WORTH_A_WORD = ("why", "exit_status", "wanted", "recovered", "delay_ms", "rule", "in_time", "verdict")


class Screen:
    """A table that is always up to date; the journal's lines scroll above it."""

    def __init__(self, console: Console, run: Run) -> None:
        self._run = run
        self._live = Live(console=console, refresh_per_second=2, transient=True, get_renderable=self._shown)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def _shown(self) -> RenderableType:
        attack = self._run.attack
        now = [] if attack is None else [f"{each.kind} {each.target}" for each in attack.now()]
        seen = self._run.watcher.latest if self._run.watcher is not None else None
        lag = "not known" if seen is None or seen.lag is None else _lag(seen.lag)
        verdict = self._run.verdict()
        facts = Table.grid(padding=(0, 2))
        facts.add_row("injected now", escape(", ".join(now)) or "nothing")
        facts.add_row("lag", lag)
        facts.add_row("requests", _requests(verdict))
        return Group(facts, *([] if verdict is None else [_violations(verdict)]))


def _lag(lag: Any) -> str:
    return ", ".join(f"{part} {count}" for part, count in lag.items() if count) or "none"


def _requests(verdict: Verdict | None) -> str:
    return "none yet" if verdict is None else f"{verdict.sent} sent, {verdict.answered} answered"


def _violations(verdict: Verdict) -> Text:
    wrong = [each for each in verdict.invariants if each.violations]
    if not wrong:
        return Text(f"{len(verdict.invariants)} invariants hold so far", style="green")
    return Text("\n".join(f"{each.name}: {each.violations} violations so far" for each in wrong), style="red")
