"""server.properties of one node of the embedded cluster: a KRaft broker and controller on loopback.

Paths are relative to the node's directory, which is its working directory: no path of the machine has to survive
the escaping of a properties file.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict

from scripts.stack.ports import LOOPBACK

DATA_DIRECTORY: Final = "data"

_ENOUGH_TO_LOSE_ONE: Final = 3
_MIB: Final = 1024 * 1024
_LATIN_PRINTABLE: Final = range(0x20, 0x7F)


class NodePorts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    client: int
    controller: int
    proxied: int | None = None
    """Of the listener that only a proxy connects to; None where there is no proxy."""


def server_properties(
    node: int, ports: Sequence[NodePorts], overrides: Mapping[str, str], door: int | None = None
) -> str:
    """The file's text for node `node` of `len(ports)`; `overrides` win over every setting below.

    `door` is the port of the proxy before the node's `proxied` listener: who comes through one proxy is sent to the
    others, and who comes directly stays direct.
    """
    own = ports[node]
    replicas = len(ports)
    in_sync = 2 if replicas >= _ENOUGH_TO_LOSE_ONE else 1
    settings: dict[str, str | int] = {
        "process.roles": "broker,controller",
        "node.id": node,
        # Voters by configuration and not in the metadata log: a later start may have to use other ports.
        "controller.quorum.voters": ",".join(
            f"{voter}@{LOOPBACK}:{port.controller}" for voter, port in enumerate(ports)
        ),
        "listeners": f"CLIENT://{LOOPBACK}:{own.client},CONTROLLER://{LOOPBACK}:{own.controller}"
        + ("" if door is None else f",PROXIED://{LOOPBACK}:{own.proxied}"),
        "advertised.listeners": f"CLIENT://{LOOPBACK}:{own.client}"
        + ("" if door is None else f",PROXIED://{LOOPBACK}:{door}"),
        "inter.broker.listener.name": "CLIENT",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT",
        "log.dirs": DATA_DIRECTORY,
        "auto.create.topics.enable": "false",
        "unclean.leader.election.enable": "false",
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": replicas,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
        "share.coordinator.state.topic.num.partitions": 1,
        # A stage that joins an empty group starts at once instead of 3 s later.
        "group.initial.rebalance.delay.ms": 10,
        # A dead broker's partitions move, and the broker may come back, after 3 s instead of 9 s.
        "broker.heartbeat.interval.ms": 500,
        "broker.session.timeout.ms": 3000,
        # One machine: the threads and buffers a server-class broker takes would be half of its memory here.
        "num.network.threads": 2,
        "num.io.threads": 4,
        "background.threads": 4,
        "log.cleaner.dedupe.buffer.size": 8 * _MIB,
        "log.segment.bytes": 64 * _MIB,
        "log.index.size.max.bytes": _MIB,
    }
    merged = {**settings, **overrides}
    return "".join(f"{_escaped(key)}={_escaped(str(value))}\n" for key, value in merged.items())


def _escaped(text: str) -> str:
    """Text as java.util.Properties reads it back, in any position and any charset."""
    return "".join(_escape(character) for character in text)


def _escape(character: str) -> str:
    if character in "\\=:#! ":
        return f"\\{character}"
    if ord(character) in _LATIN_PRINTABLE:
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
