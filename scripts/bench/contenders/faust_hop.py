"""`python -m scripts.bench.contenders.faust_hop`: passes records on with Faust, set up as `watch` is."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import faust
import typer

from streams.settings import KafkaSettings
from streams.watch.connection import faust_app
from streams.watch.outlet import raw_topic
from streams.watch.settings import WatchSettings


def hop(
    bootstrap_servers: Annotated[str, typer.Option(help="Where the broker is.")],
    partitions: Annotated[int, typer.Option(help="Of the topics.")],
    requests: Annotated[str, typer.Option(help="Topic to read.")],
    answers: Annotated[str, typer.Option(help="Topic to write.")],
    ready_file: Annotated[Path, typer.Option(help="Made when the first record could be taken.")],
) -> None:
    """Read and write until SIGTERM."""
    kafka = KafkaSettings(bootstrap_servers=bootstrap_servers, partitions=partitions, group_prefix="bench.faust.")
    app: Any = faust_app(kafka, WatchSettings(data_dir=ready_file.parent / "faust-hop"))
    goes_to = raw_topic(app, answers)

    async def pass_on(stream: Any) -> None:
        async for event in stream.events():
            key = dict(event.message.headers)["load-id"]
            await goes_to.send(key=key, value=event.message.value, headers=event.message.headers)

    async def ready(*_sender: Any, **_signal: Any) -> None:
        ready_file.touch()

    app.agent(raw_topic(app, requests), name="pass_on")(pass_on)
    app.on_rebalance_complete.connect(ready)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = faust.Worker(app, loop=loop, override_logging=False, quiet=True, redirect_stdouts=False)
    worker.spinner = None
    worker.execute_from_commandline()


if __name__ == "__main__":
    sys.exit(typer.run(hop))
