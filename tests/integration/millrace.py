"""The command line as a user runs it, pointed at one test's topics."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, cast

from confluent_kafka import KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from typer.testing import CliRunner

from schemas.topics import Topic
from scripts.cli.app import app
from streams.runtime.clients import admin_config, producer_config
from streams.runtime.cluster import wanted
from streams.settings import KafkaSettings


@dataclass(frozen=True, slots=True)
class Ended:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Millrace:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def __call__(self, *arguments: str, text: str | bytes | None = None, **variables: str) -> Ended:
        """Without a traceback: a bug fails the test with its own."""
        environment = {**self._environment, **variables}
        result = CliRunner().invoke(app, list(arguments), input=text, env=environment, catch_exceptions=False)
        return Ended(result.exit_code, result.stdout, result.stderr)


def environment_of(kafka: KafkaSettings) -> dict[str, str]:
    return {
        "MILLRACE_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "MILLRACE_KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
        "MILLRACE_KAFKA_GROUP_PREFIX": kafka.group_prefix,
        "MILLRACE_KAFKA_PARTITIONS": str(kafka.partitions),
        "MILLRACE_KAFKA_SESSION_TIMEOUT_MS": str(kafka.session_timeout_ms),
        "MILLRACE_KAFKA_DELIVERY_TIMEOUT_MS": str(kafka.delivery_timeout_ms),
    }


class Scribe:
    """Makes topics as they must be, and writes records by hand, whatever they say."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        # unlike a stage, it is told where each record went
        self._producer = Producer({**producer_config(kafka, "scribe"), "delivery.report.only.error": False})

    def make(self, *topics: Topic, fenced: bool = True) -> None:
        """Only these: to make all of them takes a broker most of a second. `fenced` False: old records are taken."""
        new = [
            NewTopic(want.name, num_partitions=want.partitions, replication_factor=1, config=dict(want.config))
            for want in (wanted(replace(topic, fenced=topic.fenced and fenced), self._kafka) for topic in topics)
        ]
        client = AdminClient(admin_config(self._kafka))
        for future in cast("dict[str, Future[None]]", client.create_topics(new)).values():
            future.result(60)

    def write(
        self,
        topic: Topic,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int = 0,
        headers: Sequence[tuple[str, bytes]] = (),
        timestamp_ms: int = 0,
    ) -> int:
        """Returns its offset, acknowledged. A timestamp of 0 is now."""
        offsets: list[int] = []

        def written(error: KafkaError | None, message: Message) -> None:
            assert error is None, error
            offsets.append(message.offset() or 0)

        self._producer.produce(
            self._kafka.topic(topic),
            value,
            key,
            partition,
            timestamp=timestamp_ms,
            headers=[*headers],
            on_delivery=written,
        )
        assert self._producer.flush(30) == 0
        return offsets[0]
