"""Brokers that are killed, stopped or frozen."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from typing_extensions import override

from scripts.chaos.system import System, broker_name


class Down(ABC):
    """Some brokers do not answer for a while."""

    def __init__(self, system: System, numbers: Sequence[int]) -> None:
        self.system = system
        self.brokers = [system.stack.brokers[number] for number in numbers]

    def hindrance(self) -> str:
        """Another must not go while one is missing somewhere: what only two have would then be on one."""
        return "" if self.system.in_sync() else "some partitions do not have all their copies yet"

    def describe(self) -> Mapping[str, object]:
        pids = [broker.pid for broker in self.brokers]
        return {"pid": pids[0]} if len(pids) == 1 else {"pids": pids}

    @abstractmethod
    def inject(self) -> None: ...

    def heal(self) -> None:
        self.system.start_ended_brokers()

    def recovered(self) -> bool:
        return all(broker.running for broker in self.brokers) and self.system.in_sync()


class BrokerKilled(Down):
    @override
    def inject(self) -> None:
        for broker in self.brokers:
            self.system.deaths.want(broker_name(broker))
            broker.kill()
            self.system.deaths.died(broker_name(broker), broker.exit_status)


class BrokerStopped(Down):
    @override
    def inject(self) -> None:
        for broker in self.brokers:
            self.system.deaths.want(broker_name(broker))
            broker.stop()
            self.system.deaths.died(broker_name(broker), broker.exit_status)


class BrokerFrozen(Down):
    @override
    def inject(self) -> None:
        for broker in self.brokers:
            broker.pause()

    @override
    def heal(self) -> None:
        for broker in self.brokers:
            broker.resume()
        super().heal()
