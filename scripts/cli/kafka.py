"""A Kafka cluster that answers: every command that needs one starts here, so that one that is away is told at once."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from schemas.topics import Topic
from scripts.cli.environment import load, variable
from scripts.cli.fault import Fault, kafka_reason
from streams.runtime.clients import admin_config
from streams.settings import KafkaSettings

REACH_WITHIN_S = 10.0

# What goes wrong is said by the command itself; librdkafka's own lines on standard error would stand beside it.
_SILENT = logging.getLogger("millrace.cli.kafka")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False
QUIET: Mapping[str, Any] = {"log_level": 0, "logger": _SILENT}

BootstrapServers = Annotated[
    str | None,
    typer.Option(
        "--bootstrap-servers",
        metavar="HOST:PORT,…",
        help="Kafka's brokers; instead of MILLRACE_KAFKA_BOOTSTRAP_SERVERS.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class LiveCluster:
    """`topics`: partition counts by full name."""

    settings: KafkaSettings
    topics: Mapping[str, int]

    def partitions(self, topic: Topic) -> int:
        """Raises Fault when there is no such topic."""
        name = self.settings.topic(topic)
        if name not in self.topics:
            raise Fault(f"topic {name} does not exist; run: millrace topics apply")
        return self.topics[name]


def reach(bootstrap_servers: str | None = None) -> LiveCluster:
    """Raises Fault when no broker answers within REACH_WITHIN_S."""
    settings = load(KafkaSettings, bootstrap_servers=bootstrap_servers)
    try:
        metadata = admin(settings).list_topics(timeout=REACH_WITHIN_S)
    except KafkaException as error:
        raise Fault(
            f"Kafka at {settings.bootstrap_servers} does not answer ({kafka_reason(error)}); start it, or say where it "
            f"is with --bootstrap-servers or {variable(KafkaSettings, 'bootstrap_servers')}"
        ) from error
    return LiveCluster(settings, {name: len(topic.partitions) for name, topic in metadata.topics.items()})


def admin(settings: KafkaSettings) -> AdminClient:
    """Keep it in a name until its futures are done: they fail as soon as nobody holds the client any more."""
    return AdminClient({**admin_config(settings), **QUIET})
