"""One node of the embedded cluster: a Kafka process on a directory and two ports that are its own.

It may be killed, stopped, frozen and started again at will, and comes back with the same address and data.
"""

import logging
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from scripts.stack.broker_config import DATA_DIRECTORY, NodePorts, server_properties
from scripts.stack.errors import StackError
from scripts.stack.java import java_argv
from scripts.stack.ports import LOOPBACK
from scripts.stack.process import Child, Command, spawn
from scripts.stack.readiness import Condition, await_ready

_CONFIG_FILE: Final = "server.properties"
_PROBE_S: Final = 1.0

# A client that waits for a broker to come up complains on standard error of each refused connection.
_SILENT: Final = logging.getLogger("millrace.stack.probe")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


class BrokerNode:
    """Not safe for use by several threads at once."""

    def __init__(self, node: int, directory: Path, ports: NodePorts, *, jars: Sequence[Path], heap_mb: int) -> None:
        self.id = node
        self.log = directory / "broker.log"
        self.address = f"{LOOPBACK}:{ports.client}"
        self._directory = directory
        self._ports = ports
        self._jars = jars
        self._heap_mb = heap_mb
        self._child: Child | None = None

    @property
    def running(self) -> bool:
        """Also true while it is paused."""
        return self._child is not None and self._child.running

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and self._child.running else None

    @property
    def exit_status(self) -> int | None:
        """Of its last run; None while it runs."""
        return self._child.exit_status if self._child is not None else None

    @property
    def proxied_port(self) -> int:
        """Where a proxy connects to. Raises ValueError in a cluster without proxies."""
        if self._ports.proxied is None:
            raise ValueError("the cluster was started without doors")
        return self._ports.proxied

    def configure(self, ports: Sequence[NodePorts], overrides: Mapping[str, str], door: int | None = None) -> None:
        """Write the node's settings, given the ports of all nodes in order of their ids."""
        self._directory.mkdir(parents=True, exist_ok=True)
        text = server_properties(self.id, ports, overrides, door)
        (self._directory / _CONFIG_FILE).write_text(text, encoding="ascii")

    def format(self, cluster_id: str) -> Child | None:
        """Begin to make an empty data directory Kafka's own; None when it already is."""
        if (self._directory / DATA_DIRECTORY / "meta.properties").is_file():
            return None
        return self._run("kafka.tools.StorageTool", "format", "--cluster-id", cluster_id, "--config", _CONFIG_FILE)

    def start(self, *, ready_within_s: float = 60) -> None:
        """Start and return once clients of the cluster see this broker. Raises StartError with the log's end."""
        self.launch()
        self.await_ready(frozenset({self.id}), within_s=ready_within_s)

    def launch(self) -> None:
        """Start without waiting. Raises StackError if it runs."""
        if self.running:
            raise StackError(f"broker {self.id} is already running")
        self._child = self._run("kafka.Kafka", _CONFIG_FILE)

    def await_ready(self, peers: frozenset[int], *, within_s: float) -> None:
        """Return once this broker's metadata lists all of `peers`. Raises StartError with the log's end."""
        if self._child is None:
            raise StackError(f"broker {self.id} was not started")
        condition = _lists(self._ports.client, peers)
        await_ready(f"Kafka broker {self.id}", self._child, self.log, condition, within_s=within_s)

    def stop(self, *, grace_s: float = 20) -> None:
        """Shut down in order, or kill after the grace; nothing happens if it does not run."""
        if self._child is not None:
            self._child.stop(grace_s)

    def kill(self) -> None:
        """SIGKILL: what it had acknowledged must be there when it starts again."""
        if self._child is not None:
            self._child.kill()

    def pause(self) -> None:
        """Freeze it: connections stay open and unanswered, as with a long garbage collection."""
        if self._child is not None:
            self._child.pause()

    def resume(self) -> None:
        if self._child is not None:
            self._child.resume()

    def _run(self, main_class: str, *arguments: str) -> Child:
        # Snappy and zstd unpack native libraries into the temporary directory, which elsewhere may be `noexec`.
        scratch = self._directory / "tmp"
        scratch.mkdir(exist_ok=True)
        argv = java_argv(main_class, *arguments, jars=self._jars, heap_mb=self._heap_mb)
        return spawn(
            Command(
                argv=[argv[0], "-Djava.io.tmpdir=tmp", *argv[1:]],
                log=self.log,
                cwd=self._directory,
                # Nothing of JAVA_TOOL_OPTIONS, CLASSPATH or KAFKA_OPTS may change what runs.
                env={"LC_ALL": "C.UTF-8"},
                inherit_env=False,
            )
        )


def _lists(port: int, peers: frozenset[int]) -> Condition:
    admin: AdminClient | None = None

    def listed() -> bool:
        nonlocal admin
        if admin is None:
            if not _accepts_connections(port):
                return False
            admin = AdminClient({"bootstrap.servers": f"{LOOPBACK}:{port}", "log_level": 0}, logger=_SILENT)
        try:
            return peers <= admin.list_topics(timeout=_PROBE_S).brokers.keys()
        except KafkaException:
            return False

    return listed


def _accepts_connections(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), _PROBE_S):
            return True
    except OSError:
        return False
