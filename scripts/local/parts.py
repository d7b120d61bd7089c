"""What a local stack consists of: what may be wished for, and the processes and variables that follow from it."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from schemas.participants import STAGES
from scripts.local.doors import local_url
from scripts.local.layout import Layout, read_port
from scripts.stack.process import Command
from scripts.stack.readiness import Condition, answers
from scripts.stack.supervised import ProcessSpec
from sinks.settings import ClickHouseSettings
from streams.settings import KafkaSettings

SAMPLE_CONFIG = Path(__file__).parents[2] / "compose" / "config" / "millrace.toml"
GRACE_S = 30
"""Above the longest drain: a process that is asked to end may finish its calls."""
READY_WITHIN_S = 120
"""Above what a group may keep a member waiting for, `streams.runtime.clients.MAX_POLL_INTERVAL_MS`."""
REAL_PROVIDERS = {
    "openai_base_url": "https://api.openai.com/v1",
    "anthropic_base_url": "https://api.anthropic.com",
}
PROVIDER_KEYS = ("openai_api_key", "anthropic_api_key")


def _one_machine() -> KafkaSettings:
    """A worker that was killed is missed, and replaced, sooner than on a network."""
    return KafkaSettings(partitions=4, session_timeout_ms=15_000, delivery_timeout_ms=10_000)


@dataclass(frozen=True, slots=True)
class Wishes:
    """`live` calls the real providers, with the keys in the environment. `simulator` holds the simulator's flags; None
    starts none, where the configuration names a provider that runs already and takes any key.

    `upkeep` is what makes analysts' answers fast and shows them budgets; nothing that is asked for needs it.

    `tuning` is added to the environment of every process. `kafka` says all but where the brokers are; `properties` are
    settings of the brokers themselves.
    """

    config: Path = SAMPLE_CONFIG
    live: bool = False
    workers: int = 1
    simulator: tuple[str, ...] | None = ("--latency-ms", "150", "--ttft-ms", "40", "--tokens-per-s", "600")
    sinks: int = 1
    upkeep: bool = False
    brokers: int = 1
    heap_mb: int = 320
    kafka: KafkaSettings = field(default_factory=_one_machine)
    properties: Mapping[str, str] = field(default_factory=dict[str, str])
    tuning: Mapping[str, str] = field(default_factory=dict[str, str])


def programs(wishes: Wishes) -> dict[str, list[str]]:
    """Arguments of `millrace` by process name."""
    stages = {name: ["stage", part] for part in STAGES for name in numbered(part, wishes.workers)}
    return {**stages, **{name: ["sink"] for name in numbered("sink", wishes.sinks)}, "watch": ["watch"]}


UPKEEP: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"rollup": ("rollup", "--every-s", "300"), "budgets": ("budgets", "store", "--every-s", "60")}
)
"""Arguments of `millrace` by process name."""


def numbered(part: str, count: int) -> list[str]:
    """Process names: the part's own for one, `part-1` and so on for several."""
    return [part] if count == 1 else [f"{part}-{number + 1}" for number in range(count)]


def environment(layout: Layout, wishes: Wishes, kafka: KafkaSettings, clickhouse: ClickHouseSettings) -> dict[str, str]:
    found = {
        "MILLRACE_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "MILLRACE_KAFKA_PARTITIONS": str(kafka.partitions),
        "MILLRACE_KAFKA_REPLICATION": str(kafka.replication),
        "MILLRACE_KAFKA_MIN_INSYNC": str(kafka.min_insync),
        "MILLRACE_KAFKA_SESSION_TIMEOUT_MS": str(kafka.session_timeout_ms),
        "MILLRACE_KAFKA_DELIVERY_TIMEOUT_MS": str(kafka.delivery_timeout_ms),
        "MILLRACE_CLICKHOUSE_HOST": clickhouse.host,
        "MILLRACE_CLICKHOUSE_PORT": str(clickhouse.port),
        "MILLRACE_WATCH_DATA_DIR": str(layout.watch.resolve()),
    }
    if not wishes.live:
        found["MILLRACE_INVOKE_SECRETS_DIR"] = str(layout.secrets.resolve())
    return {**found, **wishes.tuning}


def infrastructure(layout: Layout, wishes: Wishes, ports: Mapping[str, int]) -> list[ProcessSpec]:
    """ClickHouse and, unless other providers are asked, the simulator."""
    bill = str(layout.folder / "bill.jsonl")
    engine = ["-m", "sinks.embedded", "--path", str(layout.clickhouse)]
    specs = [_serving(layout, "clickhouse", engine, ports["clickhouse"], "/ping")]
    if not wishes.live and wishes.simulator is not None:
        simulator = ["-m", "scripts.simulator", *wishes.simulator, "--bill-file", bill]
        specs.append(_serving(layout, "simulator", simulator, ports["simulator"], "/healthz"))
    return specs


def millrace(layout: Layout, name: str, arguments: Sequence[str], variables: Mapping[str, str]) -> ProcessSpec:
    """A process of the `millrace` command that is ready when its health endpoint says so."""
    port_file = layout.port_file(name)
    port_file.unlink(missing_ok=True)
    command = Command(
        [sys.executable, "-m", "scripts.cli", *arguments],
        layout.log(name),
        env={**variables, "MILLRACE_OBSERVE_PORT_FILE": str(port_file.resolve())},
    )
    ready = healthy(port_file, "/healthz")
    return ProcessSpec(name, command, ready=ready, ready_within_s=READY_WITHIN_S, grace_s=GRACE_S)


def upkeep(layout: Layout, variables: Mapping[str, str]) -> list[ProcessSpec]:
    """They answer nobody, and wait where what they need is away: to run is all that can be asked of them."""
    return [
        ProcessSpec(name, Command([sys.executable, "-m", "scripts.cli", *arguments], layout.log(name), env=variables))
        for name, arguments in UPKEEP.items()
    ]


def _serving(layout: Layout, name: str, arguments: Sequence[str], port: int, health: str) -> ProcessSpec:
    """A process that listens on `--port` and answers at `health` when it is ready."""
    command = Command([sys.executable, *arguments, "--port", str(port)], layout.log(name))
    return ProcessSpec(name, command, ready=answers(f"{local_url(port)}{health}"), ready_within_s=60, grace_s=10)


def healthy(port_file: Path, path: str) -> Condition:
    """Holds when the process that writes its port to this file answers there."""

    def holds() -> bool:
        port = read_port(port_file)
        return port is not None and answers(f"{local_url(port)}{path}")()

    return holds
