"""All that can be seen of a running stack by whoever operates it: logs, metrics, health, commands, tables, topics."""

import http.client
from collections.abc import Iterator
from pathlib import Path

from schemas.base import dump_json
from schemas.topics import TOPICS
from scripts.cli.kafka import LiveCluster
from scripts.cli.topic_reader import TopicReader
from scripts.local.stack import LocalStack
from sinks.connection import connect
from streams.runtime.cluster import Cluster
from streams.runtime.delivery import Delivery
from tests.integration.millrace import Millrace

Place = tuple[str, bytes]
COMMANDS = (
    ("dlq", "list"),
    ("dlq", "list", "--json"),
    ("audit",),
    ("audit", "--json"),
    ("doctor",),
    ("doctor", "--json"),
    ("config", "show"),
    ("config", "show", "--json"),
    ("topics", "show"),
    ("costs", "--by", "model"),
)


class Everywhere:
    def __init__(self, stack: LocalStack) -> None:
        self._stack = stack
        self._cluster = LiveCluster(stack.kafka, Cluster(stack.kafka).existing())
        self._millrace = Millrace(stack.environment)

    def files(self) -> Iterator[Path]:
        """All that the stack's processes have written, except the broker's log segments, which are the topics."""
        for file in sorted(self._stack.layout.folder.rglob("*")):
            inside = file.relative_to(self._stack.layout.folder)
            is_segment = inside.parts[0] == "kafka" and file.suffix in (".log", ".index", ".timeindex")
            if file.is_file() and inside.parts[0] != "secrets" and (file.name == "broker.log" or not is_segment):
                yield file

    def endpoints(self) -> Iterator[Place]:
        for name, port in self._stack.observation_ports().items():
            for path in ("/metrics", "/healthz"):
                yield f"{name}{path}", _get(port, path)

    def commands(self) -> Iterator[Place]:
        for arguments in COMMANDS:
            ended = self._millrace(*arguments)
            yield f"millrace {' '.join(arguments)}", f"{ended.out}{ended.err}".encode()
        for letter in self._millrace("dlq", "list", "--last", "12", "--json").json:
            place = f"{letter['partition']}/{letter['offset']}"
            yield f"millrace dlq show {place}", self._millrace("dlq", "show", place).out.encode()

    def rows(self) -> Iterator[Place]:
        """Every row of every table and view of ours."""
        connection = connect(self._stack.clickhouse)
        database = self._stack.clickhouse.database
        try:
            listed = "SELECT name FROM system.tables WHERE database = {database:String}"
            for (table,) in connection.query(listed, {"database": database}).result_rows:
                every = f"SELECT formatRow('JSONEachRow', *) FROM {database}.{table}"  # noqa: S608  # names of ours
                yield f"table {table}", "\n".join(row for (row,) in connection.query(every).result_rows).encode()
        finally:
            connection.close()

    def records(self) -> Iterator[tuple[str, Delivery]]:
        """By topic, without the prefix."""
        for topic in TOPICS:
            with TopicReader(self._cluster, topic) as reader:
                yield from ((topic.name, record) for record in reader.read(reader.spans()))


def labels_of(topic: str, record: Delivery) -> Place:
    """What a record shows besides its value: its key and its headers."""
    shown = [(record.key or b"").decode(errors="replace")]
    shown += [f"{name}: {(value or b'').decode(errors='replace')}" for name, value in record.headers]
    return f"headers of {topic}/{record.partition}/{record.offset}", dump_json(shown)


def _get(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()
