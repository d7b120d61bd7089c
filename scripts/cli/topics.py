"""`millrace topics`: the topics as the contracts declare them, as the cluster has them, and who may use them."""

from dataclasses import dataclass
from typing import Annotated

import typer

from schemas.topics import TOPICS, Topic
from scripts.cli.acls import PRINCIPAL_PREFIX, commands, grants
from scripts.cli.command_group import command_app
from scripts.cli.environment import load
from scripts.cli.fault import Fault
from scripts.cli.kafka import BootstrapServers, LiveCluster, reach
from scripts.cli.offsets import spans
from scripts.cli.screen import AsJson, show_json, show_table
from streams.runtime.cluster import Cluster, Problem
from streams.settings import KafkaSettings

app = command_app("Create the topics of the pipeline, and show what is on them.")

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class TopicLine:
    """`partitions` and `messages` are None where the cluster has no such topic."""

    topic: str
    key: str
    partitions: int | None
    cleanup: str
    retention_ms: int
    messages: int | None

    @property
    def retention(self) -> str:
        return "forever" if self.retention_ms < 0 else f"{self.retention_ms / _DAY_MS:g} d"


@app.command(epilog="Example: millrace topics apply --bootstrap-servers 127.0.0.1:9092")
def apply(as_json: AsJson = False, bootstrap_servers: BootstrapServers = None) -> None:
    """Create the topics that are missing.

    Of those that exist, how old a record may be and how soon a table is compacted are set again. How else they differ
    from what is needed is said, and the exit status is 1.
    """
    cluster = Cluster(reach(bootstrap_servers).settings)
    created = cluster.apply()
    problems = cluster.check()
    if as_json:
        show_json({"created": created, "problems": problems})
    else:
        for name in created:
            print(f"created {name}")
        print(f"{len(created)} created, {len(TOPICS) - len(created)} were there")
        _tell(problems)
    if problems:
        raise typer.Exit(1)


@app.command(epilog="Example: millrace topics show --json")
def show(as_json: AsJson = False, bootstrap_servers: BootstrapServers = None) -> None:
    """Show every topic: its key, how it is kept, and how many messages it holds."""
    cluster = reach(bootstrap_servers)
    lines = topic_lines(cluster)
    problems = Cluster(cluster.settings).check()
    if as_json:
        show_json({"topics": lines, "problems": problems})
        return
    show_table(
        ("topic", "key", "partitions", "cleanup", "retention", "messages"),
        [(each.topic, each.key, _or_missing(each), each.cleanup, each.retention, each.messages or 0) for each in lines],
        right=("partitions", "messages"),
    )
    _tell(problems)


@app.command(epilog="Example: millrace topics acls --commands --command-config admin.properties | sh")
def acls(
    as_commands: Annotated[
        bool, typer.Option("--commands", help="Print kafka-acls.sh commands that give them.")
    ] = False,
    as_json: AsJson = False,
    principal_prefix: Annotated[
        str, typer.Option(help="Before each name: validate, limit, …, sink, watch, producer, service, operator.")
    ] = PRINCIPAL_PREFIX,
    command_config: Annotated[
        str | None, typer.Option(metavar="FILE", help="Properties with which kafka-acls.sh logs in, for --commands.")
    ] = None,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Show what each stage must be allowed on Kafka, and nothing more; no cluster is asked.

    With these, and with no ACLs that allow more, every stage runs under a user of its own.
    """
    if as_commands and as_json:
        raise Fault("--commands and --json exclude each other: give one of them")
    kafka = load(KafkaSettings, bootstrap_servers=bootstrap_servers)
    given = grants(kafka, principal_prefix)
    if as_commands:
        for line in commands(given, kafka.bootstrap_servers, command_config):
            print(line)
    elif as_json:
        show_json(given)
    else:
        show_table(
            ("principal", "may", "resource", "name"),
            [
                (g.principal, ", ".join(g.operations), g.resource, g.name + ("*" if g.pattern == "prefixed" else ""))
                for g in given
            ],
        )


def topic_lines(cluster: LiveCluster) -> list[TopicLine]:
    there = {
        name: cluster.topics[name] for topic in TOPICS if (name := cluster.settings.topic(topic)) in cluster.topics
    }
    counts = {
        name: sum(span.count for span in by_partition.values())
        for name, by_partition in spans(cluster.settings, there).items()
    }
    return [_line(topic, cluster.settings.topic(topic), there, counts) for topic in TOPICS]


def _line(topic: Topic, name: str, there: dict[str, int], counts: dict[str, int]) -> TopicLine:
    return TopicLine(name, topic.key, there.get(name), topic.cleanup, topic.retention_ms, counts.get(name))


def _or_missing(line: TopicLine) -> object:
    return "missing" if line.partitions is None else line.partitions


def _tell(problems: list[Problem]) -> None:
    for each in problems:
        print(f"{each.topic} {each.what}; {each.todo}")
