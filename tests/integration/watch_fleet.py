"""`watch` as an operator runs it: processes against a real broker, and what they have written."""

import json
import sys
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from time import time_ns
from typing import Any

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from schemas.alert import Alert
from schemas.call import CallRow, Phase
from schemas.control import Breaker, Slowdown, Tenant, control_key
from schemas.money import SpendStop
from schemas.topics import ALERTS, CALLS, CONTROL, DEAD_LETTERS, Topic
from scripts.stack.process import Child, Command, log_tail, spawn
from scripts.stack.readiness import holds_within
from streams.runtime.clients import admin_config, producer_config, reader_config
from streams.runtime.cluster import Cluster
from streams.settings import KafkaSettings
from tests.fakes.call_rows import call_row, priced

START_S = 70
ANSWER_S = 20
OPEN_S = 2
FREE = priced("0")


class Fleet:
    """The topics of one test, the `watch` processes on them, and what these have written."""

    def __init__(self, kafka: KafkaSettings, directory: Path, held: ExitStack) -> None:
        self.kafka = kafka
        self.directory = directory
        self._held = held
        self._producer = Producer({**producer_config(kafka, "test"), "log_level": 0})
        self._seen: dict[Topic, list[Message]] = {CONTROL: [], ALERTS: [], DEAD_LETTERS: []}
        self._readers: dict[Topic, Consumer] = {}
        self.admin: Any = AdminClient(admin_config(kafka))  # its stubs leave the types of futures' results open
        self._rows = 0
        self.workers: dict[str, Child] = {}
        Cluster(kafka).apply()

    def start(self, name: str = "watch") -> Child:
        """A worker that has its partitions and has read its tables and the configuration. One whose start stood still
        is begun again, as whoever supervises it does.
        """
        child = self._begin(name)
        if not child.running:
            assert "watch stood still" in log_tail(self.log(name)), log_tail(self.log(name))
            child = self._begin(name)
        assert child.running, log_tail(self.log(name))
        return child

    def _begin(self, name: str) -> Child:
        child = self.launch(name)
        assert holds_within(START_S, lambda: self._state(name) == "running" or not child.running), log_tail(
            self.log(name)
        )
        return child

    def launch(self, name: str = "watch", module: str = "streams.watch", *arguments: str, **settings: str) -> Child:
        """Warnings are errors in it, so that a library's deprecation is noticed here first."""
        kafka = {f"MILLRACE_KAFKA_{field.upper()}": str(value) for field, value in self._kafka_settings().items()}
        self._port_file(name).unlink(missing_ok=True)
        own = {
            "MILLRACE_WATCH_DATA_DIR": str(self.directory / name),
            "MILLRACE_WATCH_WINDOW_S": "6",
            "MILLRACE_WATCH_OPEN_S": str(OPEN_S),
            "MILLRACE_WATCH_TICK_S": "0.2",
            "MILLRACE_WATCH_COMMIT_INTERVAL_MS": "200",
            "MILLRACE_OBSERVE_PORT_FILE": str(self._port_file(name)),
        }
        argv = (sys.executable, "-W", "error", "-m", module, *arguments)
        child = spawn(Command(argv, self.log(name), env={**kafka, **own, **settings}))
        self._held.callback(child.stop, 10)
        self.workers[name] = child
        return child

    def committed(self) -> int:
        """How many of the rows are behind what the group has committed."""
        name, group = self.kafka.topic(CALLS), self.kafka.group("watch")
        where = [TopicPartition(name, partition) for partition in range(self.kafka.partitions)]
        asked = self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, where)])
        return sum(max(0, found.offset) for found in asked[group].result(10).topic_partitions)

    def largest_record(self, topic: str, size: int) -> None:
        """The broker refuses larger ones on this topic."""
        change = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
        where = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[change])
        self.admin.incremental_alter_configs([where])[where].result(10)

    def log(self, name: str = "watch") -> Path:
        return self.directory / f"{name}.log"

    def stop(self, child: Child) -> int:
        return child.stop(20)

    def finished(self, outcome: str, name: str = "watch") -> int:
        """How many events the worker has finished in this way."""
        sample = f'millrace_events_total{{outcome="{outcome}",stage="watch"}} '
        found = [line.removeprefix(sample) for line in self._get(name, "metrics").splitlines() if sample in line]
        return int(float(found[0])) if found else 0

    def configure(self, tenant: Tenant) -> None:
        self._write(CONTROL, control_key(tenant), tenant.encode())

    def send(self, *rows: CallRow) -> None:
        for row in rows:
            self._write(CALLS, row.tenant_id, row.encode())

    def send_rubbish(self, tenant: str, value: bytes | None) -> None:
        self._write(CALLS, tenant, value)

    def calls(self, count: int, error: str | None, *, deployment: str = "openai-1", tenants: int = 1) -> None:
        """The settled rows of `count` calls that begin and end now."""
        self.send(
            *(
                self.row("settled", error_class=error, deployment=deployment, tenant_id=f"tenant-{number % tenants}")
                for number in range(count)
            )
        )

    def row(self, phase: Phase = "priced", **changes: Any) -> CallRow:
        self._rows += 1
        now_ms = time_ns() // 1_000_000
        return call_row(self._rows, phase, **{"started_at_ms": now_ms, "provider_ms": 50, **changes})

    def breaker_states(self, deployment: str) -> list[str]:
        found = [message for message in self._read(CONTROL) if message.key() == b"breaker/" + deployment.encode()]
        return [Breaker.decode(message.value() or b"").state for message in found]

    def paces(self, deployment: str) -> list[Slowdown]:
        found = [message for message in self._read(CONTROL) if message.key() == f"slowdown/{deployment}".encode()]
        return [Slowdown.decode(message.value() or b"") for message in found]

    def spend_stops(self, tenant: str) -> list[SpendStop]:
        found = [message for message in self._read(CONTROL) if message.key() == f"spend_stop/{tenant}".encode()]
        return [SpendStop.decode(message.value() or b"") for message in found]

    def alerts(self, subject: str) -> list[str]:
        found = [Alert.decode(message.value() or b"") for message in self._read(ALERTS)]
        return [alert.alert for alert in found if alert.subject == subject]

    def dead_letters(self) -> list[Message]:
        return self._read(DEAD_LETTERS)

    def _read(self, topic: Topic) -> list[Message]:
        if topic not in self._readers:
            name = self.kafka.topic(topic)
            partitions = range(1 if topic.partitions == 1 else self.kafka.partitions)
            reader = Consumer({**reader_config(self.kafka), "enable.partition.eof": False})
            reader.assign([TopicPartition(name, partition, 0) for partition in partitions])
            self._readers[topic] = reader
            self._held.callback(reader.close)
        self._seen[topic] += [m for m in self._readers[topic].consume(100, 0.05) if m.error() is None]
        return self._seen[topic]

    def send_many(self, rows: list[CallRow]) -> None:
        for row in rows:
            self._producer.produce(self.kafka.topic(CALLS), key=row.tenant_id, value=row.encode())
        assert self._producer.flush(20) == 0

    def _write(self, topic: Topic, key: str, value: bytes | None) -> None:
        self._producer.produce(self.kafka.topic(topic), key=key, value=value)
        assert self._producer.flush(10) == 0

    def _kafka_settings(self) -> dict[str, object]:
        return self.kafka.model_dump(exclude_defaults=True)

    def _port_file(self, name: str) -> Path:
        return self.directory / f"{name}.port"

    def port(self, name: str = "watch") -> int:
        return int(self._port_file(name).read_text())

    def _get(self, name: str, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port(name)}/{path}", timeout=5) as answer:
            return answer.read().decode()

    def _state(self, name: str) -> str:
        try:
            return str(json.loads(self._get(name, "healthz"))["state"])
        except OSError:
            return "absent"
