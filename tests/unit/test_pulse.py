"""A standstill is noticed by whoever looks first, once."""

from dataclasses import dataclass, field

from streams.invoke.pulse import Pulse


@dataclass
class Watched:
    now_s: float = 100.0
    standstills: list[float] = field(default_factory=list[float])

    def pulse(self) -> Pulse:
        return Pulse(4.0, lambda: self.standstills.append(self.now_s), lambda: self.now_s)

    def after(self, seconds: float, pulse: Pulse) -> None:
        self.now_s += seconds
        pulse.check()


def test_a_loop_that_comes_round_in_time_stands_still_never() -> None:
    watched = Watched()
    pulse = watched.pulse()
    for _ in range(10):
        watched.after(4.0, pulse)

    assert watched.standstills == []


def test_each_standstill_is_told_once() -> None:
    watched = Watched()
    pulse = watched.pulse()
    for seconds in (4.5, 0.0, 1.0, 60.0, 0.1):
        watched.after(seconds, pulse)

    assert watched.standstills == [104.5, 165.5]


def test_an_acknowledgement_that_took_as_long_is_as_good_as_a_standstill() -> None:
    watched = Watched()
    pulse = watched.pulse()

    pulse.waited(4.0)
    assert watched.standstills == []
    pulse.waited(4.1)
    assert watched.standstills == [100.0]


def test_who_looks_again_while_being_told_hears_nothing_new() -> None:
    watched = Watched()
    pulse = Pulse(4.0, lambda: (watched.standstills.append(watched.now_s), pulse.check())[0], lambda: watched.now_s)
    watched.after(5.0, pulse)

    assert watched.standstills == [105.0]
