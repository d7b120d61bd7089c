"""`millrace stage`: one process of one stage."""

from typing import Annotated

import typer

from schemas.flow import StageName
from scripts.cli.command_group import command_app
from scripts.cli.environment import load
from scripts.cli.kafka import BootstrapServers
from scripts.cli.start_check import running, sound_cluster
from streams.process import run_stage
from streams.settings import InvokeSettings, ObserveSettings, WorkerSettings

app = command_app()


@app.command(epilog="Example: millrace stage validate")
def stage(
    name: Annotated[StageName, typer.Argument(help="Which stage; each is a consumer group of its own.")],
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Run one stage of the pipeline until it is told to stop.

    SIGTERM or Ctrl-C: what has been taken is finished first. It does not start on a cluster that breaks an assumption.
    Run it several times for more throughput, at most once per partition.
    """
    settings = load(WorkerSettings), load(InvokeSettings), load(ObserveSettings)
    kafka = sound_cluster(name, bootstrap_servers)
    with running():
        run_stage(name, kafka, *settings)
