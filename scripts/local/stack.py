"""Starts a whole Millrace in one folder, and stops all of it again whatever happens in between."""

import signal
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from scripts.cli.config import planned
from scripts.cli.control_topic import read_control, write_control
from scripts.cli.kafka import LiveCluster
from scripts.local.doors import Direct, Doors, local_url
from scripts.local.layout import Layout, read_port
from scripts.local.parts import (
    PROVIDER_KEYS,
    REAL_PROVIDERS,
    Wishes,
    environment,
    infrastructure,
    millrace,
    programs,
    upkeep,
)
from scripts.stack.broker import Cluster as Broker
from scripts.stack.broker import start_cluster
from scripts.stack.node import BrokerNode
from scripts.stack.ports import reserve_port
from scripts.stack.supervised import ProcessSpec, ProcessState
from scripts.stack.supervisor import Supervisor
from sinks.connection import connect
from sinks.migrate import migrate
from sinks.settings import ClickHouseSettings
from streams.runtime.cluster import Cluster


class LocalStack:
    """Use as a context manager. `announce` hears, in a few words, what is being started; `supervisor` keeps the
    processes alive. `kafka` and `clickhouse` lead past the doors.
    """

    def __init__(
        self,
        layout: Layout,
        wishes: Wishes,
        announce: Callable[[str], None],
        *,
        supervisor: Supervisor | None = None,
        doors: Doors | None = None,
    ) -> None:
        self.layout = layout
        self._wishes = wishes
        self._announce = announce
        self._held = ExitStack()
        self._doors = doors or Direct()
        self.supervisor = supervisor or Supervisor()
        self.brokers: tuple[BrokerNode, ...] = ()
        self.kafka = wishes.kafka
        self.clickhouse = ClickHouseSettings()
        self.simulator_url: str | None = None
        self._inside: dict[str, str] = {}

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
        return {name: self._port(name) for name in programs(self._wishes)}

    def states(self) -> tuple[ProcessState, ...]:
        return self.supervisor.states()

    def part(self, name: str, *arguments: str) -> ProcessSpec:
        """One more process of the stack: `millrace` with these arguments."""
        return millrace(self.layout, name, arguments, self._inside)

    def abandon(self) -> None:
        """Kill everything at once. For who has seen all there is to see, and need not wait for orderly ends."""
        for state in self.supervisor.states():
            self.supervisor.signal(state.name, signal.SIGKILL)
        self.supervisor.stop()
        for broker in self.brokers:
            broker.kill()

    def _start(self) -> None:
        self.layout.prepare()
        self._announce("starting Kafka, ClickHouse and the provider simulator")
        with ThreadPoolExecutor(1) as threads:
            broker = threads.submit(self._start_brokers)
            self._held.callback(_stop_broker, broker)  # last of all: the others still commit while they stop
            self._held.callback(self.supervisor.stop)
            clickhouse, simulator = self._start_infrastructure()
            self.brokers = broker.result().brokers
        self.kafka = self._wishes.kafka.model_copy(update={"bootstrap_servers": broker.result().bootstrap_servers})
        self._announce("creating topics and tables, applying the configuration")
        topics = Cluster(self.kafka)
        topics.apply()
        self._migrate()
        self._configure(LiveCluster(self.kafka, topics.existing()), simulator)
        self.layout.write_environment(self.environment)
        self._inside = {
            **self.environment,
            "MILLRACE_KAFKA_BOOTSTRAP_SERVERS": self._doors.led_to_brokers(self.brokers),
            "MILLRACE_CLICKHOUSE_PORT": str(clickhouse),
        }
        self._announce("starting the stages")
        self.supervisor.start(*(self.part(name, *arguments) for name, arguments in programs(self._wishes).items()))
        if self._wishes.upkeep:
            self.supervisor.start(*upkeep(self.layout, self._inside))

    def _start_brokers(self) -> Broker:
        return start_cluster(
            self.layout.kafka,
            brokers=self._wishes.brokers,
            heap_mb=self._wishes.heap_mb,
            properties=self._wishes.properties,
            doors=self._doors.to_brokers(self._wishes.brokers),
            announce=self._announce,
        )

    def _start_infrastructure(self) -> tuple[int, int | None]:
        """The ports at which the stack finds ClickHouse and the simulator, if there is one."""
        # Reserved, so that a process that died is found again where it was.
        ports = {name: self._held.enter_context(reserve_port()).port for name in ("clickhouse", "simulator")}
        if not self._wishes.live:
            for name in PROVIDER_KEYS:
                (self.layout.secrets / name).write_text("sk-simulated")
        self.supervisor.start(*infrastructure(self.layout, self._wishes, ports))
        self.clickhouse = ClickHouseSettings(port=ports["clickhouse"])
        clickhouse = self._doors.led_to("clickhouse", ports["clickhouse"])
        if self._wishes.live or self._wishes.simulator is None:
            return clickhouse, None
        self.simulator_url = local_url(ports["simulator"])
        return clickhouse, self._doors.led_to("simulator", ports["simulator"])

    def _port(self, name: str) -> int:
        port = read_port(self.layout.port_file(name))
        if port is None:
            raise RuntimeError(f"{name} was ready without having written its port")
        return port

    def _migrate(self) -> None:
        connection = connect(self.clickhouse)
        try:
            there = self.clickhouse
            migrate(connection, there.database, there.retention_days, there.sums_retention_days)
        finally:
            connection.close()

    def _configure(self, cluster: LiveCluster, simulator: int | None) -> None:
        """Leaves alone what is not in the file: a stack that is started again keeps what was added to it."""
        view = read_control(cluster).view
        url = None if simulator is None else local_url(simulator)
        providers = {"openai_base_url": f"{url}/v1", "anthropic_base_url": url} if url is not None else {}
        if self._wishes.live:
            providers = REAL_PROVIDERS
        write_control(cluster, planned(self._wishes.config, providers, view))

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to find this stack, past its doors."""
        return environment(self.layout, self._wishes, self.kafka, self.clickhouse)


def _stop_broker(starting: Future[Broker]) -> None:
    """One that never came up has said so already."""
    if starting.exception() is None:
        starting.result().stop()
