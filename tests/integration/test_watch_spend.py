"""A loop that spends without end is stopped, on a real broker, within seconds."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from time import monotonic

import pytest

from schemas.control import Tenant
from schemas.money import SpendRate
from scripts.stack.process import log_tail
from scripts.stack.readiness import holds_within
from streams.settings import KafkaSettings
from tests.fakes.call_rows import priced
from tests.integration.watch_fleet import ANSWER_S, Fleet

pytestmark = [pytest.mark.integration, pytest.mark.timeout(200)]


class Loop:
    """Calls of one tenant that never end asking, from now on."""

    def __init__(self, fleet: Fleet, *, calls_per_s: int, usd: str) -> None:
        self._fleet = fleet
        self._calls_per_s = calls_per_s
        self._cost = priced(usd)
        self._sent = 0
        self._began_s = monotonic()

    @property
    def runs_s(self) -> float:
        return monotonic() - self._began_s

    def goes_on_until(self, condition: Callable[[], bool]) -> Callable[[], bool]:
        def turn() -> bool:
            due = round(self.runs_s * self._calls_per_s) - self._sent
            self._fleet.send(*(self._fleet.row(tenant_id="acme", cost=self._cost) for _ in range(due)))
            self._sent += due
            return condition()

        return turn


@pytest.fixture
def fleet(kafka: KafkaSettings, tmp_path: Path) -> Iterator[Fleet]:
    """Nobody works yet."""
    with ExitStack() as held:
        yield Fleet(kafka, tmp_path, held)


def test_a_runaway_loop_is_stopped_within_seconds(fleet: Fleet) -> None:
    """A hundred calls a second at two cents, against a cap of ten dollars a minute: passed after five seconds."""
    fleet.configure(Tenant(name="acme", spend_rate=SpendRate(usd_per_minute="10")))
    fleet.start()
    loop = Loop(fleet, calls_per_s=100, usd="0.02")

    assert holds_within(ANSWER_S, loop.goes_on_until(lambda: bool(fleet.spend_stops("acme")))), log_tail(fleet.log())

    took_s = loop.runs_s
    (stop,) = fleet.spend_stops("acme")
    assert Decimal(stop.usd_per_minute) > 10
    assert took_s < 10, took_s
    assert holds_within(ANSWER_S, lambda: fleet.alerts("tenant/acme") == ["spend_stopped"])
