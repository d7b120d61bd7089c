"""`python -m scripts.tour`: shows each thing on a system that is started for it. Exit 1 when any did not happen."""

import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from scripts.cli.fault import Fault
from scripts.cli.screen import show_json
from scripts.local.layout import RUN_FOLDER, Layout
from scripts.local.parts import Wishes
from scripts.local.stack import LocalStack
from scripts.stack.errors import StackError
from scripts.tour.guide import Guide, NotSeenError
from scripts.tour.scene import DidNotHappenError, Scene
from scripts.tour.scenes.answers import CASCADE, REPAIRED
from scripts.tour.scenes.content import REDACTION
from scripts.tour.scenes.crowds import COALESCED, EXPIRY
from scripts.tour.scenes.letters import REDRIVE
from scripts.tour.scenes.meaning import SEMANTIC
from scripts.tour.scenes.patience import DEFERRAL
from scripts.tour.scenes.providers import BREAKER, FALLBACK

SCENES = (FALLBACK, BREAKER, CASCADE, COALESCED, SEMANTIC, DEFERRAL, EXPIRY, REPAIRED, REDACTION, REDRIVE)
CONFIG = Path(__file__).with_name("tour.toml")
QUICK = ("--latency-ms", "120", "--ttft-ms", "30", "--tokens-per-s", "2000")
SOON = {"MILLRACE_WATCH_OPEN_S": "5"}
"""A breaker that is open for half a minute is right for a provider, and long for who looks on."""


def tour(
    only: Annotated[list[str] | None, typer.Option("--only", help="Show this only. Repeatable.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what happened as JSON at the end.")] = False,
) -> None:
    """See a fallback, a breaker, a cascade and the others happen on a whole system on this machine."""
    console = Console(stderr=as_json, highlight=False)
    layout = Layout(RUN_FOLDER / "tour")
    try:
        scenes = chosen(only or [])
        shutil.rmtree(layout.folder, ignore_errors=True)
        wishes = Wishes(config=CONFIG, simulator=QUICK, tuning=SOON)
        with (
            LocalStack(layout, wishes, lambda what: console.print(f"· {what}")) as stack,
            Guide(stack) as guide,
        ):
            failed = [scene.name for number, scene in enumerate(scenes, 1) if not shown(console, guide, number, scene)]
            console.print("\n· stopping everything")
    except (StackError, Fault) as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        console.print("stopped: everything that was started has been ended")
        raise typer.Exit(130) from None
    if as_json:
        show_json({scene.name: scene.name not in failed for scene in scenes})
    if failed:
        console.print(f"[red]did not happen: {', '.join(failed)}[/red]; logs are in {layout.folder / 'logs'}")
        raise typer.Exit(1)
    console.print(f"all {len(scenes)} happened")


def chosen(names: Sequence[str]) -> Sequence[Scene]:
    """Raises Fault for a name that there is not."""
    known = {scene.name: scene for scene in SCENES}
    for name in names:
        if name not in known:
            raise Fault(f"--only {name}: choose from {', '.join(known)}")
    return [known[name] for name in names] or SCENES


def shown(console: Console, guide: Guide, number: int, scene: Scene) -> bool:
    console.print(f"\n[bold]{number}. {scene.title}[/bold]", soft_wrap=True)
    try:
        for line in scene.play(guide):
            console.print(f"   {line}", markup=False, soft_wrap=True)
    except (DidNotHappenError, NotSeenError) as problem:
        console.print(f"   [red]did not happen:[/red] {problem}", soft_wrap=True)
        return False
    return True


def _end_on_sigterm(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end_on_sigterm)
    sys.exit(typer.run(tour))
