"""`python -m scripts.chaos`: breaks a whole system for some minutes. Exit 1 when a promise was not kept."""

import secrets
import signal
import sys
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from schemas.base import dump_json
from scripts.chaos.conductor import Run
from scripts.chaos.kinds import chosen
from scripts.chaos.plan import RunPlan
from scripts.chaos.progress import Screen, heard_on
from scripts.chaos.report import Line, as_json, read_journal, show
from scripts.stack.errors import StackError


def chaos(
    seed: Annotated[int | None, typer.Option(help="Draws load and faults; drawn itself when absent.")] = None,
    minutes: Annotated[float, typer.Option(help="How long there is load.")] = 2.0,
    rate: Annotated[float, typer.Option(help="Requests a second.")] = 20.0,
    faults: Annotated[str, typer.Option(help="all, or a list of KIND or KIND:PART.")] = "all",
    as_object: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Run everything on three brokers under load, break it by a schedule drawn from the seed, and check it."""
    console = Console(stderr=as_object)
    try:
        plan = RunPlan(secrets.randbelow(1_000_000) if seed is None else seed, minutes, rate, chosen(faults))
        console.print(f"seed {plan.seed}: {len(plan.schedule)} faults in {minutes:g} minutes", highlight=False)
        report = _carry_out(plan, console)
    except (StackError, ValueError) as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(2) from error
    except KeyboardInterrupt:
        console.print("stopped: everything that was started has been ended")
        raise typer.Exit(130) from None
    if as_object:
        sys.stdout.buffer.write(dump_json(report) + b"\n")
    else:
        show(console, report)
    if not report["held"]:
        raise typer.Exit(1)


def _carry_out(plan: RunPlan, console: Console) -> Line:
    run = Run(plan, lambda what: console.print(f"· {what}", highlight=False), heard_on(console))
    if console.is_terminal:
        with Screen(console, run):
            invariants = run.carry_out()
    else:
        invariants = run.carry_out()
    return as_json(plan, invariants, run.verdict(), read_journal(plan.file("journal.jsonl")))


def _end_on_sigterm(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end_on_sigterm)
    sys.exit(typer.run(chaos))
