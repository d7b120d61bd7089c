"""An event loop whose time is virtual and whose waiting is the scheduler's: one for each process of `invoke`."""

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from typing_extensions import override

from tests.fakes.kafka.host import Gone, Host


class Threads(Protocol):
    def start(self, host: Host, body: Callable[[], None]) -> object: ...


class VirtualLoop(asyncio.BaseEventLoop):
    """Threads are greenlets of the same process."""

    def __init__(self, host: Host, threads: Threads) -> None:
        super().__init__()
        self._began_ms = host.timeline.now_ms
        self._selector = self
        self._host = host
        self._threads = threads
        self.set_exception_handler(lambda _loop, _context: None)  # what a killed process leaves behind is no news

    @override
    def time(self) -> float:
        """Since the start: of the years since 1970 a float has no room for the nanoseconds that asyncio adds."""
        return (self._host.timeline.now_ms - self._began_ms) / 1000

    def select(self, timeout: float | None) -> list[object]:
        """What the base class waits for events with. There are none but the passing of time and what others call."""
        if timeout is None or timeout > 0:
            self._host.idle(math.ceil((timeout or 3600) * 1000))
        self._host.must_be_up()
        return []

    def _process_events(self, _events: list[object]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        self._host.stir()

    @override
    def run_in_executor(self, executor: object, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        result: asyncio.Future[Any] = self.create_future()

        def settle(value: object, problem: Exception | None) -> None:
            if result.cancelled():
                return
            if problem is None:
                result.set_result(value)
            else:
                result.set_exception(problem)

        def body() -> None:
            value, problem = None, None
            try:
                value = func(*args)
            except Exception as raised:  # noqa: BLE001  # whoever waits for it hears of it
                problem = raised
            self.call_soon_threadsafe(settle, value, problem)

        self._threads.start(self._host, body)
        return result

    def dispose(self) -> None:
        """Of what never ended."""
        for task in asyncio.all_tasks(self):
            coroutine = task.get_coro()
            # without this each would complain when it is collected
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # CPython's own
            with suppress(RuntimeError, Gone):
                coroutine.close()
        self.close()
