"""`millrace up`: the whole stack on this machine, kept alive until it is told to stop."""

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from scripts.cli.command_group import command_app
from scripts.cli.fault import Fault
from scripts.local.layout import RUN_FOLDER, Layout
from scripts.local.parts import SAMPLE_CONFIG, Wishes
from scripts.local.stack import LocalStack
from scripts.stack.errors import StackError
from scripts.stack.supervised import BROKEN_EXIT_STATUS, ProcessState, Status
from scripts.stack.supervisor import Supervisor

app = command_app()


@app.command(epilog="Example: millrace up --workers 2")
def up(
    config: Annotated[Path, typer.Option(help="Configuration to apply at the start.")] = SAMPLE_CONFIG,
    workers: Annotated[int, typer.Option(min=1, max=4, help="Processes of each stage.")] = 1,
    live: Annotated[
        bool, typer.Option("--live", help="Ask the real providers, with the keys in the environment.")
    ] = False,
) -> None:
    """Run Kafka, ClickHouse, a provider simulator and every stage here, restarting what dies, until Ctrl-C.

    Beside them days are rolled up and budgets copied for analysts. Topics, rows and configuration are kept in
    .millrace/run and are there again at the next start; delete the folder to begin anew. The other commands find the
    running stack by themselves when started in the same directory.
    """
    console = Console()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())

    def told(state: ProcessState) -> None:
        if state.status is Status.BACKING_OFF and not stop.is_set():
            console.print(f"· {state.name} ended with status {state.last_exit_status} and is started again")
        elif state.status is Status.STOPPED and state.last_exit_status == BROKEN_EXIT_STATUS:
            console.print(
                f"· {state.name} stopped and is not started again: the end of its log says why and what to do"
            )

    layout = Layout(RUN_FOLDER / "run")
    try:
        with LocalStack(
            layout,
            Wishes(config=config, live=live, workers=workers, upkeep=True),
            lambda what: console.print(f"· {what}", highlight=False),
            supervisor=Supervisor(on_change=told),
        ) as stack:
            console.print(_doors(stack))
            console.print(f"running until Ctrl-C; logs are in {layout.folder / 'logs'}", highlight=False)
            stop.wait()
            console.print("· stopping everything", highlight=False)
    except StackError as error:
        raise Fault(str(error)) from error
    finally:
        layout.environment_file.unlink(missing_ok=True)


def _doors(stack: LocalStack) -> Table:
    table = Table(show_header=False)
    table.add_row("Kafka", stack.kafka.bootstrap_servers)
    table.add_row("ClickHouse", f"http://{stack.clickhouse.host}:{stack.clickhouse.port}")
    if stack.simulator_url is not None:
        table.add_row("provider simulator", stack.simulator_url)
    for name, port in stack.observation_ports().items():
        table.add_row(name, f"http://127.0.0.1:{port}/metrics")
    return table
