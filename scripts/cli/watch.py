"""`millrace watch`: one worker of the Faust app beside the request path."""

from scripts.cli.command_group import command_app
from scripts.cli.environment import load
from scripts.cli.kafka import BootstrapServers
from scripts.cli.start_check import running, sound_cluster
from streams.settings import ObserveSettings, WorkerSettings
from streams.watch.run import run_watch
from streams.watch.settings import WatchSettings

app = command_app()


@app.command(epilog="Example: millrace watch")
def watch(bootstrap_servers: BootstrapServers = None) -> None:
    """Watch provider health and spending until told to stop.

    Opens and closes the breakers that `route` and `invoke` obey, and publishes alerts.
    """
    settings, worker, observe = load(WatchSettings), load(WorkerSettings), load(ObserveSettings)
    kafka = sound_cluster("watch", bootstrap_servers)
    with running():
        run_watch(kafka, settings, worker, observe)
