"""Partitions that are led by another broker from one moment to the next, though nobody died."""

from collections.abc import Mapping, Sequence

from confluent_kafka.admin import AdminClient

from schemas.base import dump_json
from scripts.chaos.copies import QUIET
from scripts.chaos.system import System
from scripts.stack.java import tool_argv
from scripts.stack.process import Command, spawn
from scripts.stack.readiness import await_success

_REASSIGN = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"
_ELECT = "org.apache.kafka.tools.LeaderElectionCommand"
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
        self._tool(_REASSIGN, "--reassignment-json-file", str(file), "--execute")
        # confluent-kafka 2.16.1 raises SystemError from `elect_leaders`, whatever it is given.
        self._tool(_ELECT, "--election-type", "preferred", "--all-topic-partitions")

    def heal(self) -> None:
        """They may stay where they are."""

    def recovered(self) -> bool:
        return self._system.in_sync()

    def _tool(self, main_class: str, *arguments: str) -> None:
        stack = self._system.stack
        argv = tool_argv(main_class, "--bootstrap-server", stack.kafka.bootstrap_servers, *arguments)
        log = stack.layout.log("leaders")
        await_success("moving the leaders", spawn(Command(argv, log)), log, within_s=_WITHIN_S)


def turned(copies: Sequence[int]) -> list[int]:
    return [*copies[1:], *copies[:1]]
