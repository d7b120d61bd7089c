"""A real Kafka cluster of one or three brokers inside one directory, started in seconds without Docker or Java.

Everything a cluster is lives in its directory: stop it, start it again there, and topics and data are still there,
on the same ports if they are free. No process survives the one that called `start_cluster`.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from uuid import uuid4

from scripts.stack.broker_config import NodePorts
from scripts.stack.cluster_record import ClusterRecord, kafka_uuid, read_record
from scripts.stack.errors import StackError
from scripts.stack.jars import kafka_jars
from scripts.stack.lock import exclusive
from scripts.stack.node import BrokerNode
from scripts.stack.ports import reserve_port
from scripts.stack.process import Child
from scripts.stack.readiness import await_success

_FORMAT_WITHIN_S: Final = 60


class Cluster:
    """A running cluster. Use as a context manager or call `stop`."""

    def __init__(self, brokers: tuple[BrokerNode, ...], held: ExitStack) -> None:
        self.brokers = brokers
        self._held = held

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(broker.address for broker in self.brokers)

    def stop(self) -> None:
        """Stop every broker that runs and give up the ports; the data stays."""
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_cluster(
    directory: Path,
    *,
    brokers: int = 1,
    heap_mb: int = 320,
    properties: Mapping[str, str] | None = None,
    doors: Sequence[int] = (),
    ready_within_s: float = 60,
    announce: Callable[[str], None] | None = None,
) -> Cluster:
    """Start the cluster of `directory`, creating it there first if need be, and return once clients can use it.

    `properties` override any broker setting for this start; `announce` is told when the jars have to be fetched.
    `doors` are the ports of proxies, one for each broker, that are to connect to its `proxied_port`.
    With three brokers, topics are replicated three times and one broker may be lost without losing writes.
    Raises StackError: jars missing, directory in use or of another size, broker not up within `ready_within_s`.
    """
    if brokers < 1:
        raise ValueError(f"a cluster has at least one broker, not {brokers}")
    if doors and len(doors) != brokers:
        raise ValueError(f"{brokers} brokers need as many proxies, not {len(doors)}")
    jars = kafka_jars(announce=announce)
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        try:
            held.enter_context(exclusive(directory / "lock", wait=False))
        except BlockingIOError:
            raise StackError(f"{directory} is in use by a running cluster: stop that, or choose another") from None
        record = _record(directory / "cluster.json", brokers, held, proxied=bool(doors))
        nodes = tuple(
            BrokerNode(node, directory / f"broker-{node}", ports, jars=jars, heap_mb=heap_mb)
            for node, ports in enumerate(record.nodes)
        )
        for node in nodes:
            node.configure(record.nodes, properties or {}, doors[node.id] if doors else None)
        _format(nodes, record.cluster_id)
        held.callback(_stop_all, nodes)
        for node in nodes:
            node.launch()
        everyone = frozenset(node.id for node in nodes)
        for node in nodes:
            node.await_ready(everyone, within_s=ready_within_s)
        return Cluster(nodes, held.pop_all())


def _record(path: Path, brokers: int, held: ExitStack, *, proxied: bool) -> ClusterRecord:
    """The cluster's record, old or new, written back with ports that are reserved until `held` closes."""

    def reserved(preferred: int | None) -> int:
        return held.enter_context(reserve_port(preferred)).port

    known = read_record(path, brokers)
    before = known.nodes if known is not None else (None,) * brokers
    nodes = [
        NodePorts(
            client=reserved(node.client if node else None),
            controller=reserved(node.controller if node else None),
            proxied=reserved(node.proxied if node else None) if proxied else None,
        )
        for node in before
    ]
    record = ClusterRecord(cluster_id=known.cluster_id if known else kafka_uuid(uuid4().bytes), nodes=tuple(nodes))
    path.write_text(record.model_dump_json(indent=2), encoding="ascii")
    return record


def _format(nodes: tuple[BrokerNode, ...], cluster_id: str) -> None:
    with ExitStack() as unfinished:
        formatting: list[tuple[BrokerNode, Child]] = []
        for node in nodes:
            if (child := node.format(cluster_id)) is not None:
                unfinished.callback(child.kill)
                formatting.append((node, child))
        for node, child in formatting:
            await_success(
                f"formatting the data directory of broker {node.id}", child, node.log, within_s=_FORMAT_WITHIN_S
            )


def _stop_all(nodes: tuple[BrokerNode, ...]) -> None:
    # All at once: a node asked alone, after the others have gone, waits for a quorum that never comes back.
    with ThreadPoolExecutor(len(nodes)) as pool:
        for stopped in [pool.submit(node.stop) for node in nodes]:
            stopped.result()
