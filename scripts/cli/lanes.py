"""`millrace lanes`: how many requests wait in each lane, how fast they are asked, and how long a new one will wait."""

import math
import time
from dataclasses import dataclass
from typing import Annotated

import typer

from schemas.request import Priority
from schemas.topics import DISPATCH
from scripts.cli.command_group import command_app
from scripts.cli.consumer_lag import Committed, committed, waiting
from scripts.cli.kafka import BootstrapServers, LiveCluster, reach
from scripts.cli.offsets import Spans, spans
from scripts.cli.screen import AsJson, show_json, show_table
from streams.invoke.estimate import wait_s

app = command_app()
Seconds = Annotated[float, typer.Option(min=0.5, max=600, help="How long to measure the rate.")]


@dataclass(frozen=True, slots=True)
class Lane:
    """Of all workers together. `wait_s` is infinite where requests wait and none has ended while it was measured."""

    name: Priority
    waiting: int
    ended_per_s: float

    @property
    def wait_s(self) -> float:
        return wait_s(self.waiting, self.ended_per_s)


@dataclass(frozen=True, slots=True)
class Look:
    at_s: float
    reach: dict[str, Spans]
    committed: Committed


@app.command(epilog="Example: millrace lanes --seconds 10")
def lanes(seconds: Seconds = 3, as_json: AsJson = False, bootstrap_servers: BootstrapServers = None) -> None:
    """Show how many requests wait in each lane, and how long a new one will wait.

    Waiting are all that are not finished, those that are just being asked included. Each worker publishes the same of
    its own partitions as `millrace_estimated_wait_seconds`.
    """
    cluster = reach(bootstrap_servers)
    before = look(cluster)
    time.sleep(seconds)
    found = measured(cluster, before, look(cluster))
    if as_json:
        show_json(
            [
                {
                    "lane": each.name,
                    "waiting": each.waiting,
                    "ended_per_s": round(each.ended_per_s, 3),
                    "wait_s": None if math.isinf(each.wait_s) else round(each.wait_s, 3),
                }
                for each in found
            ]
        )
        return
    rows = [(each.name, each.waiting, f"{each.ended_per_s:.1f}", said(each.wait_s)) for each in found]
    show_table(("lane", "waiting", "ended/s", "wait"), rows, right=("waiting", "ended/s", "wait"))


def look(cluster: LiveCluster) -> Look:
    """Raises KafkaException when the brokers cannot tell."""
    names = [cluster.settings.topic(topic) for topic in DISPATCH.values()]
    reached = spans(cluster.settings, {name: cluster.topics[name] for name in names if name in cluster.topics})
    return Look(time.monotonic(), reached, committed(cluster, "invoke", reached))


def measured(cluster: LiveCluster, before: Look, after: Look) -> list[Lane]:
    def of(priority: Priority) -> Lane:
        name = cluster.settings.topic(DISPATCH[priority])
        topic = {name: after.reach[name]} if name in after.reach else {}
        open_before, open_after = (waiting(topic, each.committed) for each in (before, after))
        return Lane(priority, open_after, max(open_before - open_after, 0) / (after.at_s - before.at_s))

    return [of(priority) for priority in DISPATCH]


def said(seconds: float) -> str:
    if math.isinf(seconds):
        return "unknown: none ended"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"  # noqa: PLR2004  # two minutes
