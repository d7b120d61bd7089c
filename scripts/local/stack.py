"""Starts a whole Millrace in one folder, and stops all of it again whatever happens in between."""

import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from schemas.participants import STAGES
from scripts.cli.config import planned
from scripts.cli.control_topic import read_control, write_control
from scripts.cli.kafka import LiveCluster
from scripts.local.layout import Layout, read_port
from scripts.stack.broker import Cluster as Broker
from scripts.stack.broker import start_cluster
from scripts.stack.process import Command
from scripts.stack.readiness import Condition, answers
from scripts.stack.supervised import ProcessSpec, ProcessState
from scripts.stack.supervisor import Supervisor
from sinks.connection import connect
from sinks.migrate import migrate
from sinks.settings import ClickHouseSettings
from streams.runtime.cluster import Cluster
from streams.settings import KafkaSettings

SAMPLE_CONFIG = Path(__file__).parents[2] / "compose" / "config" / "millrace.toml"
PARTITIONS = 4
GRACE_S = 30
"""Above the longest drain: a process that is asked to end may finish its calls."""
REAL_PROVIDERS = {
    "openai_base_url": "https://api.openai.com/v1",
    "anthropic_base_url": "https://api.anthropic.com",
}
PROVIDER_KEYS = ("openai_api_key", "anthropic_api_key")


@dataclass(frozen=True, slots=True)
class Wishes:
    """`live` calls the real providers, with the keys in the environment. `simulator` holds the simulator's flags."""

    config: Path = SAMPLE_CONFIG
    live: bool = False
    workers: int = 1
    simulator: tuple[str, ...] = ("--latency-ms", "150", "--ttft-ms", "40", "--tokens-per-s", "600")


class LocalStack:
    """Use as a context manager. `announce` hears, in a few words, what is being started; `on_change` of every state
    that a process enters.
    """

    def __init__(
        self,
        layout: Layout,
        wishes: Wishes,
        announce: Callable[[str], None],
        on_change: Callable[[ProcessState], None] | None = None,
    ) -> None:
        self._layout = layout
        self._wishes = wishes
        self._announce = announce
        self._held = ExitStack()
        self._supervisor = Supervisor(on_change=on_change)
        self.kafka = KafkaSettings(partitions=PARTITIONS)
        self.clickhouse = ClickHouseSettings()
        self.simulator_url: str | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._held.close()
            raise
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._held.close()

    def observation_ports(self) -> dict[str, int]:
        """Where each stage, the sink and watch show their health and metrics."""
        return {name: self._port(name) for name in self._programs()}

    def states(self) -> tuple[ProcessState, ...]:
        return self._supervisor.states()

    def _start(self) -> None:
        self._layout.prepare()
        self._announce("starting Kafka, ClickHouse and the provider simulator")
        with ThreadPoolExecutor(1) as threads:
            broker = threads.submit(start_cluster, self._layout.kafka, announce=self._announce)
            self._held.callback(_stop_broker, broker)  # last of all: the others still commit while they stop
            self._held.callback(self._supervisor.stop)
            self._start_infrastructure()
            self.kafka = KafkaSettings(bootstrap_servers=broker.result().bootstrap_servers, partitions=PARTITIONS)
        self._announce("creating topics and tables, applying the configuration")
        topics = Cluster(self.kafka)
        topics.apply()
        self._migrate()
        self._configure(LiveCluster(self.kafka, topics.existing()))
        self._layout.write_environment(self.environment)
        self._announce("starting the stages")
        self._supervisor.start(*(self._millrace(name, arguments) for name, arguments in self._programs().items()))

    def _start_infrastructure(self) -> None:
        specs = [self._spec("clickhouse", ["-m", "sinks.embedded", "--path", str(self._layout.clickhouse)], "/ping")]
        if not self._wishes.live:
            flags = [*self._wishes.simulator, "--bill-file", str(self._layout.folder / "bill.jsonl")]
            specs.append(self._spec("simulator", ["-m", "scripts.simulator", *flags], "/healthz"))
            for name in PROVIDER_KEYS:
                (self._layout.secrets / name).write_text("sk-simulated")
        self._supervisor.start(*specs)
        self.clickhouse = ClickHouseSettings(port=self._port("clickhouse"))
        if not self._wishes.live:
            self.simulator_url = f"http://127.0.0.1:{self._port('simulator')}"

    def _spec(self, name: str, arguments: list[str], health: str) -> ProcessSpec:
        """A process that takes `--port-file`, takes a free port, and answers at `health` when it is ready."""
        port_file = self._layout.port_file(name)
        port_file.unlink(missing_ok=True)
        argv = [sys.executable, *arguments, "--port", "0", "--port-file", str(port_file)]
        command = Command(argv, self._layout.log(name))
        return ProcessSpec(name, command, ready=healthy(port_file, health), ready_within_s=60, grace_s=10)

    def _port(self, name: str) -> int:
        port = read_port(self._layout.port_file(name))
        if port is None:
            raise RuntimeError(f"{name} was ready without having written its port")
        return port

    def _migrate(self) -> None:
        connection = connect(self.clickhouse)
        try:
            migrate(connection, self.clickhouse.database, self.clickhouse.retention_days)
        finally:
            connection.close()

    def _configure(self, cluster: LiveCluster) -> None:
        """Leaves alone what is not in the file: a stack that is started again keeps what was added to it."""
        view = read_control(cluster).view
        write_control(cluster, planned(self._wishes.config, self._substitutions(), view))

    def _substitutions(self) -> dict[str, str]:
        """What the sample configuration leaves open: where the providers are."""
        if self.simulator_url is None:
            return REAL_PROVIDERS
        return {"openai_base_url": f"{self.simulator_url}/v1", "anthropic_base_url": self.simulator_url}

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to find this stack."""
        found = {
            "MILLRACE_KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "MILLRACE_KAFKA_PARTITIONS": str(self.kafka.partitions),
            # one machine: a worker that was killed is missed, and replaced, sooner than on a network
            "MILLRACE_KAFKA_SESSION_TIMEOUT_MS": "15000",
            "MILLRACE_KAFKA_DELIVERY_TIMEOUT_MS": "10000",
            "MILLRACE_CLICKHOUSE_HOST": self.clickhouse.host,
            "MILLRACE_CLICKHOUSE_PORT": str(self.clickhouse.port),
            "MILLRACE_WATCH_DATA_DIR": str(self._layout.watch.resolve()),
        }
        if not self._wishes.live:
            found["MILLRACE_INVOKE_SECRETS_DIR"] = str(self._layout.secrets.resolve())
        return found

    def _programs(self) -> dict[str, list[str]]:
        """Arguments of `millrace` by process name."""
        many = self._wishes.workers > 1
        stages = {
            f"{name}-{worker + 1}" if many else name: ["stage", name]
            for name in STAGES
            for worker in range(self._wishes.workers)
        }
        return {**stages, "sink": ["sink"], "watch": ["watch"]}

    def _millrace(self, name: str, arguments: list[str]) -> ProcessSpec:
        port_file = self._layout.port_file(name)
        port_file.unlink(missing_ok=True)
        command = Command(
            [sys.executable, "-m", "scripts.cli", *arguments],
            self._layout.log(name),
            env={**self.environment, "MILLRACE_OBSERVE_PORT_FILE": str(port_file.resolve())},
        )
        return ProcessSpec(name, command, ready=healthy(port_file, "/healthz"), ready_within_s=90, grace_s=GRACE_S)


def _stop_broker(starting: Future[Broker]) -> None:
    """One that never came up has said so already."""
    if starting.exception() is None:
        starting.result().stop()


def healthy(port_file: Path, path: str) -> Condition:
    """Holds when the process that writes its port to this file answers there."""

    def holds() -> bool:
        port = read_port(port_file)
        return port is not None and answers(f"http://127.0.0.1:{port}{path}")()

    return holds
