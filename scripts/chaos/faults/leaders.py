"""Partitions that are led by another broker from one moment to the next, though nobody died."""

from collections.abc import Mapping, Sequence

from confluent_kafka import ElectionType
from confluent_kafka.admin import AdminClient

from schemas.base import dump_json
from scripts.chaos.copies import QUIET
from scripts.chaos.system import System
from scripts.stack.java import tool_argv
from scripts.stack.process import Command, spawn
from scripts.stack.readiness import await_success

_TOOL = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"
_WITHIN_S = 60.0


class LeadersMove:
    """Every partition's copies stay where they are; the second in line becomes the first, and then leads."""

    def __init__(self, system: System) -> None:
        self._system = system

    def hindrance(self) -> str:
        return "" if self._system.in_sync() else "some partitions do not have all their copies yet"

    def describe(self) -> Mapping[str, object]:
        return {}

    def inject(self) -> None:
        servers = self._system.stack.kafka.bootstrap_servers
        folder = self._system.stack.layout.folder
        admin = AdminClient({"bootstrap.servers": servers, **QUIET})
        topics = admin.list_topics(timeout=_WITHIN_S).topics
        moves = [
            {"topic": name, "partition": number, "replicas": turned(partition.replicas)}
            for name, topic in topics.items()
            for number, partition in topic.partitions.items()
        ]
        file = folder / "leaders.json"
        file.write_bytes(dump_json({"version": 1, "partitions": moves}))
        argv = tool_argv(_TOOL, "--bootstrap-server", servers, "--reassignment-json-file", str(file), "--execute")
        log = folder / "logs" / "leaders.log"
        await_success("moving the leaders", spawn(Command(argv, log)), log, within_s=_WITHIN_S)
        admin.elect_leaders(ElectionType.PREFERRED, None, request_timeout=_WITHIN_S).result(_WITHIN_S)

    def heal(self) -> None:
        """They may stay where they are."""

    def recovered(self) -> bool:
        return self._system.in_sync()


def turned(copies: Sequence[int]) -> list[int]:
    return [*copies[1:], *copies[:1]]
