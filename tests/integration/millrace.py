"""The command line as a user runs it, pointed at one test's topics."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, Message, Producer
from typer.testing import CliRunner

from schemas.topics import Topic
from scripts.cli.app import app
from streams.runtime.clients import producer_config
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
    }


class Scribe:
    """Writes records by hand, whatever they say."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        # unlike a stage, it is told where each record went
        self._producer = Producer({**producer_config(kafka, "scribe"), "delivery.report.only.error": False})

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
