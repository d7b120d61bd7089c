"""Whatever is done to the machine's clock, ours goes on, and comes back to it."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.clock import SLEW, SteadyClock

SECOND_NS = 1_000_000_000
HOUR_S = 3_600


@dataclass
class Machine:
    wall_ns: int = 1_795_000_000 * SECOND_NS
    monotonic_ns: int = 5 * SECOND_NS

    def clock(self) -> SteadyClock:
        return SteadyClock(lambda: self.wall_ns, lambda: self.monotonic_ns)

    def pass_(self, seconds: float) -> None:
        self.wall_ns += round(seconds * SECOND_NS)
        self.monotonic_ns += round(seconds * SECOND_NS)

    def set_by(self, seconds: float) -> None:
        self.wall_ns += round(seconds * SECOND_NS)


def test_it_says_what_the_machine_says() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.pass_(12.345)
    assert clock.now_ms() == 1_795_000_012_345


@pytest.mark.parametrize("set_by_s", [-6 * HOUR_S, -60, 60, 7 * HOUR_S])
def test_a_clock_that_is_set_neither_shortens_nor_lengthens_an_age_by_more_than_a_hundredth(set_by_s: int) -> None:
    machine = Machine()
    clock = machine.clock()
    before_ms = clock.now_ms()
    machine.set_by(set_by_s)
    for _ in range(45):
        machine.pass_(1)
        clock.now_ms()
    assert abs(clock.now_ms() - before_ms - 45_000) <= 45_000 / SLEW


@pytest.mark.parametrize("set_by_s", [-60, 60])
def test_it_comes_back_to_the_machines_time(set_by_s: int) -> None:
    machine = Machine()
    clock = machine.clock()
    machine.set_by(set_by_s)
    for _ in range(61 * SLEW):
        machine.pass_(1)
        clock.now_ms()
    assert clock.now_ms() == machine.wall_ns // 1_000_000


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(-100_000, 100_000)), max_size=50))
def test_it_never_goes_back(happenings: list[tuple[float, float]]) -> None:
    machine = Machine()
    clock = machine.clock()
    latest_ms = clock.now_ms()
    for passed_s, set_by_s in happenings:
        machine.pass_(passed_s)
        machine.set_by(set_by_s)
        now_ms = clock.now_ms()
        assert now_ms >= latest_ms
        latest_ms = now_ms
