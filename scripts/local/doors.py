"""How the parts of a stack reach one another: directly, or through doors that somebody may close."""

from collections.abc import Sequence
from typing import Protocol

from scripts.stack.node import BrokerNode
from scripts.stack.ports import LOOPBACK


class Doors(Protocol):
    """Where the processes of a stack find the others. Who only looks on goes past the doors."""

    def to_brokers(self, count: int) -> Sequence[int]:
        """Ports of proxies for so many brokers that are about to start; none where there are no proxies."""
        ...

    def led_to_brokers(self, brokers: Sequence[BrokerNode]) -> str:
        """Told once that they run; returns the bootstrap servers for the processes of the stack."""
        ...

    def led_to(self, name: str, port: int) -> int:
        """The port at which the process `name`, which listens on `port`, is reached."""
        ...


class Direct:
    """No doors."""

    def to_brokers(self, count: int) -> Sequence[int]:  # noqa: ARG002  # the protocol's
        return ()

    def led_to_brokers(self, brokers: Sequence[BrokerNode]) -> str:
        return ",".join(broker.address for broker in brokers)

    def led_to(self, name: str, port: int) -> int:  # noqa: ARG002  # the protocol's
        return port


def local_url(port: int) -> str:
    return f"http://{LOOPBACK}:{port}"
