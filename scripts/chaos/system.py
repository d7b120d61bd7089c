"""The system that is to be broken: every process of a Millrace behind gates, and those who listen to it."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from scripts.chaos.copies import all_in_sync
from scripts.chaos.deaths import Deaths
from scripts.chaos.journal import Journal
from scripts.chaos.network.gates import Gates
from scripts.local.stack import LocalStack
from scripts.stack.node import BrokerNode

_STARTS_WITHIN_S = 90.0


@dataclass(frozen=True, slots=True)
class System:
    stack: LocalStack
    gates: Gates
    journal: Journal
    deaths: Deaths

    def pid(self, name: str) -> int | None:
        """None while it does not run."""
        return self.pids().get(name)

    def pids(self) -> dict[str, int]:
        """Of everything that runs now, by process name; brokers are `broker-<n>`."""
        running = {state.name: state.pid for state in self.stack.states()}
        running.update({broker_name(broker): broker.pid for broker in self.stack.brokers})
        return {name: pid for name, pid in running.items() if pid is not None}

    def start_ended_brokers(self) -> None:
        """All are launched before any is waited for: alone they might have no quorum. Raises StackError."""
        ended = [broker for broker in self.stack.brokers if not broker.running]
        for broker in ended:
            name = broker_name(broker)
            self.deaths.died(name, broker.exit_status)
            broker.launch()
            self.deaths.started(name, broker.pid)
            self.journal.write(event="restarted", target=name, pid=broker.pid)
        for broker in ended:
            broker.await_ready(frozenset({broker.id}), within_s=_STARTS_WITHIN_S)

    def in_sync(self) -> bool:
        return all_in_sync(self.stack.kafka.bootstrap_servers, len(self.stack.brokers))

    @property
    def simulator_port(self) -> int:
        port = urlsplit(self.stack.simulator_url or "").port
        if port is None:
            raise RuntimeError("the stack runs without a simulator")
        return port


def broker_name(broker: BrokerNode) -> str:
    return f"broker-{broker.id}"
