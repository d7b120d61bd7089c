"""`python -m scripts.demo`: starts everything, asks, waits, shows, stops. Exit 1 when anything is missing, answered
twice, or differs from the provider's bill.
"""

import shutil
import signal
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from schemas.base import dump_json
from scripts.cli.fault import Fault
from scripts.demo.crowd import repeated, simulator_flags, without_limits
from scripts.demo.exchange import Answers, Outgoing, publish
from scripts.demo.inputs import demo_keys, read_input
from scripts.demo.ledger import CostTable, provider_bill_usd
from scripts.demo.report import show
from scripts.demo.summary import Summary, summarise
from scripts.local.layout import RUN_FOLDER, Layout
from scripts.local.parts import PROVIDER_KEYS, Wishes
from scripts.local.stack import LocalStack
from scripts.stack.errors import StackError
from streams.provider_keys import ProviderKeys, process_environment

REQUESTS = Path(__file__).with_name("requests.jsonl")


@dataclass(frozen=True, slots=True)
class Pace:
    """No more than so many a second, and no more than so many without an answer."""

    per_second: float
    most_open: int


ONE_BY_ONE = Pace(per_second=25, most_open=1_000)
CROWD = Pace(per_second=200, most_open=400)
"""As fast as this machine takes them: what waits for an answer holds back what is sent."""
QUIET_S = 60.0
"""No answer for this long means that none is coming."""


def demo(
    input_file: Annotated[
        Path, typer.Option("--input", help="Request events or prompts, one JSON per line.")
    ] = REQUESTS,
    live: Annotated[
        bool, typer.Option("--live", help="Ask the real providers, with the keys in the environment.")
    ] = False,
    count: Annotated[
        int | None, typer.Option("--requests", min=1, help="Repeat the input under new ids to so many requests.")
    ] = None,
    faults: Annotated[
        bool, typer.Option("--faults", help="Let the simulated provider refuse, hang, and cut answers off.")
    ] = False,
) -> None:
    """Run the whole pipeline once on this machine and show what it did."""
    console = Console()
    layout = Layout(RUN_FOLDER / "demo")
    shutil.rmtree(layout.folder, ignore_errors=True)
    try:
        if live:
            need_a_key()
        requests = read_input(input_file)
        wishes = Wishes(live=live)
        if faults:
            wishes = replace(wishes, simulator=(*(wishes.simulator or ()), *simulator_flags()))
        if count is not None:
            requests = repeated(requests, count)
            layout.prepare()
            wishes = replace(wishes, config=without_limits(wishes.config, layout.folder / "millrace.toml"))
        summary = run(console, layout, requests, wishes, CROWD if count is not None else ONE_BY_ONE)
    except (StackError, Fault, TimeoutError) as error:
        console.print(f"[red]{error}[/red]", highlight=False)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        console.print("stopped: everything that was started has been ended")
        raise typer.Exit(130) from None
    path = layout.folder / "summary.json"
    path.write_bytes(dump_json(summary.as_json()) + b"\n")
    console.print(
        f"\nwritten to {path}. Go on with `make up`, and beside it `.venv/bin/millrace publish FILE`, "
        "`millrace responses`, `millrace costs`; logs of this run are in " + str(layout.folder / "logs"),
        highlight=False,
    )
    if not summary.is_right:
        raise typer.Exit(1)


def need_a_key() -> None:
    """Raises Fault: a route falls back from one provider to the other, but not to none."""
    keys = ProviderKeys(None, process_environment())
    if not any(keys.secret(name) for name in PROVIDER_KEYS):
        raise Fault("LIVE=1 asks the real providers: set OPENAI_API_KEY or ANTHROPIC_API_KEY, or both")


def run(console: Console, layout: Layout, requests: list[Outgoing], wishes: Wishes, pace: Pace) -> Summary:
    with LocalStack(layout, wishes, lambda what: console.print(f"· {what}", highlight=False)) as stack:
        summary = ask(console, stack, requests, pace)
        console.print("· stopping everything", highlight=False)
    return summary


def ask(console: Console, stack: LocalStack, requests: list[Outgoing], pace: Pace) -> Summary:
    expected = [request.request_id for request in requests if request.request_id is not None]
    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        sending = progress.add_task("published", total=len(requests))
        waiting = progress.add_task("answered", total=len(set(expected)))
        answers = Answers(stack.kafka, lambda: progress.advance(waiting))

        def sent(request: Outgoing) -> None:
            progress.advance(sending)
            if request.request_id is not None:
                answers.expect(request.request_id)
            answers.wait_for(quiet_s=QUIET_S, most_open=pace.most_open)

        publish(stack.kafka, requests, demo_keys(), per_second=pace.per_second, on_sent=sent)
        answers.wait_for(quiet_s=QUIET_S)
        answers.linger()
    answers.close()
    bill = None if stack.simulator_url is None else provider_bill_usd(stack.simulator_url)
    table = CostTable(stack.clickhouse)
    totals = table.wait_for(len(answers.responses), within_s=60)
    reconciled = None
    if stack.simulator_url is not None:
        reconciled = table.reconcile(stack.simulator_url, time.time_ns() // 1_000_000)
    costs = table.by_tenant_and_feature()
    table.close()
    summary = summarise(expected, answers.responses, totals, bill, reconciled)
    asked = [r for r in answers.responses if r.status == "ok" and r.cache == "none"]
    show(console, summary, asked[len(asked) // 2] if asked else None, costs)
    return summary


def _end_on_sigterm(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end_on_sigterm)
    sys.exit(typer.run(demo))
