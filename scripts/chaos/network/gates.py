"""The gates of a run, on an event loop in a thread of their own: an order is carried out when its call returns."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack
from threading import Thread
from types import TracebackType
from typing import Any, Self, TypeVar

from scripts.chaos.network.gate import Gate
from scripts.chaos.network.mode import Mode, Passing
from scripts.stack.node import BrokerNode
from scripts.stack.ports import LOOPBACK, reserve_port

_WITHIN_S = 10.0
T = TypeVar("T")


class Gates:
    """The doors of a local stack. Use as a context manager; a place is `broker-<n>`, `clickhouse` or `simulator`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._held = ExitStack()
        self._gates: dict[str, Gate] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_WITHIN_S)
        self._loop.close()
        self._held.close()

    def to_brokers(self, count: int) -> Sequence[int]:
        return [self._opened(f"broker-{number}") for number in range(count)]

    def led_to_brokers(self, brokers: Sequence[BrokerNode]) -> str:
        for broker in brokers:
            self._gates[f"broker-{broker.id}"].target = broker.proxied_port
        return ",".join(f"{LOOPBACK}:{self._gates[f'broker-{broker.id}'].port}" for broker in brokers)

    def led_to(self, name: str, port: int) -> int:
        door = self._opened(name)
        self._gates[name].target = port
        return door

    def cut(self, place: str) -> int:
        """Reset the connections through a gate; returns how many there were."""
        return self._do(_cut(self._gates[place]))

    def connections(self, place: str) -> int:
        """How many there are through a gate."""
        return len(self._gates[place].pairs)

    def become(self, place: str, mode: Mode) -> None:
        self._do(self._gates[place].become(mode))

    def heal(self) -> None:
        """Bytes pass everywhere, at once."""
        for place in self._gates:
            self.become(place, Passing())

    def _opened(self, name: str) -> int:
        # Held, so that a gate that refused for a while opens where its clients know it.
        port = self._held.enter_context(reserve_port()).port
        gate = self._gates[name] = Gate(port)
        self._do(gate.open())
        return port

    async def _close(self) -> None:
        for gate in self._gates.values():
            gate.close()
        await asyncio.sleep(0)  # what was aborted is closed by the loop's next turn

    def _do(self, order: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(order, self._loop).result(_WITHIN_S)


async def _cut(gate: Gate) -> int:
    return gate.cut()
