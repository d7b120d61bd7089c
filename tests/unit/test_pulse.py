"""That the group no longer counts on a worker is noticed by whoever looks first, once."""

from dataclasses import dataclass, field

from streams.invoke.pulse import PROVE_S, Pulse

LIMIT_S = 8.0


@dataclass
class Watched:
    now_s: float = 100.0
    losses: list[float] = field(default_factory=list[float])

    def pulse(self) -> Pulse:
        return Pulse(LIMIT_S, lambda: self.losses.append(self.now_s), lambda: self.now_s)

    def felt(self) -> Pulse:
        pulse = self.pulse()
        pulse.heard(self.now_s)
        return pulse

    def after(self, seconds: float, pulse: Pulse) -> None:
        self.now_s += seconds
        pulse.check()


def test_who_is_heard_in_time_is_never_lost() -> None:
    watched = Watched()
    pulse = watched.felt()
    for _ in range(10):
        watched.after(LIMIT_S, pulse)
        pulse.heard(watched.now_s)

    assert watched.losses == []
    assert pulse.is_felt


def test_a_loss_is_told_once_however_long_it_lasts() -> None:
    watched = Watched()
    pulse = watched.felt()
    for seconds in (LIMIT_S + 0.5, 0.0, 60.0, 60.0):
        watched.after(seconds, pulse)

    assert watched.losses == [100.0 + LIMIT_S + 0.5]
    assert not pulse.is_felt


def test_what_counts_is_when_the_group_was_asked_not_when_its_answer_was_read() -> None:
    watched = Watched()
    pulse = watched.felt()
    watched.now_s += 6.0
    pulse.heard(101.0)
    watched.after(3.5, pulse)

    assert watched.losses == [109.5]


def test_an_answer_to_an_older_question_changes_nothing() -> None:
    watched = Watched()
    pulse = watched.felt()
    pulse.heard(90.0)
    watched.after(LIMIT_S, pulse)

    assert watched.losses == []


def test_who_holds_nothing_loses_nothing() -> None:
    watched = Watched()
    pulse = watched.pulse()
    watched.after(60.0, pulse)
    pulse.heard(watched.now_s)
    pulse.rest()
    watched.after(60.0, pulse)

    assert watched.losses == []
    assert not pulse.is_fading


def test_another_proof_is_wanted_long_before_the_limit() -> None:
    watched = Watched()
    pulse = watched.felt()
    assert not pulse.is_fading

    watched.after(PROVE_S, pulse)

    assert pulse.is_fading
    assert pulse.is_felt


def test_who_looks_again_while_being_told_hears_nothing_new() -> None:
    watched = Watched()
    pulse = Pulse(LIMIT_S, lambda: (watched.losses.append(watched.now_s), pulse.check())[0], lambda: watched.now_s)
    pulse.heard(100.0)
    watched.after(LIMIT_S + 1, pulse)

    assert watched.losses == [100.0 + LIMIT_S + 1]
