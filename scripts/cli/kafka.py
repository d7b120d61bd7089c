"""A Kafka cluster that answers: every command that needs one starts here, so that one that is away is told at once."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from schemas.topics import Topic
from scripts.cli.environment import load, variable
from scripts.cli.fault import Fault, kafka_reason
from scripts.cli.kafka_refusal import is_definite, refusal, unusable_files
from streams.runtime.clients import admin_config
from streams.settings import KafkaSettings

REACH_WITHIN_S = 10.0
_ASK_AGAIN_S = 1.0

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
    """Raises Fault when no broker answers within REACH_WITHIN_S, and sooner when one refuses for good."""
    settings = load(KafkaSettings, bootstrap_servers=bootstrap_servers)
    if problem := unusable_files(settings):
        raise Fault(problem)
    heard: list[KafkaError] = []
    listening: dict[str, Any] = {**admin_config(settings), **QUIET, "error_cb": heard.append}
    client = AdminClient(listening)
    give_up_s = time.monotonic() + REACH_WITHIN_S
    while True:
        try:
            metadata = client.list_topics(timeout=_ASK_AGAIN_S)
        except KafkaException as error:
            client.poll(0)  # only here is `heard` told
            if is_definite(heard) or time.monotonic() > give_up_s:
                raise Fault(_away(settings, heard, error)) from error
        else:
            return LiveCluster(settings, {name: len(topic.partitions) for name, topic in metadata.topics.items()})


def _away(settings: KafkaSettings, heard: list[KafkaError], error: KafkaException) -> str:
    if refused := refusal(settings, heard):
        return f"Kafka at {settings.bootstrap_servers}: {refused}"
    return (
        f"Kafka at {settings.bootstrap_servers} does not answer ({kafka_reason(error)}); start it, or say where it "
        f"is with --bootstrap-servers or {variable(KafkaSettings, 'bootstrap_servers')}"
    )


def admin(settings: KafkaSettings) -> AdminClient:
    """Keep it in a name until its futures are done: they fail as soon as nobody holds the client any more."""
    return AdminClient({**admin_config(settings), **QUIET})
