"""`millrace sink`: one process that moves call rows into ClickHouse."""

from scripts.cli.command_group import command_app
from scripts.cli.environment import load
from scripts.cli.kafka import BootstrapServers
from scripts.cli.start_check import running, sound_cluster
from sinks.settings import ClickHouseSettings
from streams.settings import ObserveSettings, SinkSettings, WorkerSettings
from streams.sink_process import run_sink

app = command_app()


@app.command(epilog="Example: millrace sink")
def sink(bootstrap_servers: BootstrapServers = None) -> None:
    """Move call rows from Kafka into ClickHouse until told to stop.

    While ClickHouse is away rows wait on Kafka; an offset moves only when its row is stored.
    """
    clickhouse, settings = load(ClickHouseSettings), load(SinkSettings)
    worker, observe = load(WorkerSettings), load(ObserveSettings)
    kafka = sound_cluster("sink", bootstrap_servers)
    with running():
        run_sink(kafka, clickhouse, settings, worker, observe)
