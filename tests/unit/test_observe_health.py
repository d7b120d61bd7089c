"""Healthy is who has nothing to do, or moves; not who merely runs."""

import pytest

from streams.observe.health import Health, Progress, State

STALL_MS = 60_000


class Clock:
    def __init__(self) -> None:
        self.now_ms = 1_000_000

    def __call__(self) -> int:
        return self.now_ms


class Process:
    """A worker whose loop comes round when the test says so."""

    def __init__(self, state: State = "running") -> None:
        self.clock = Clock()
        self.progress = Progress(self.clock, STALL_MS)
        self.progress.state(state)

    def after(self, milliseconds: int) -> Health:
        self.clock.now_ms += milliseconds
        return self.progress.health()

    def loops_for(self, milliseconds: int, in_flight: int, *, moved: bool = False) -> Health:
        for _ in range(milliseconds // 1_000):
            self.clock.now_ms += 1_000
            self.progress.looped(in_flight, moved=moved)
        return self.progress.health()


def test_a_process_is_not_healthy_before_it_works() -> None:
    process = Process("starting")

    assert not process.after(0).ok
    process.progress.state("restoring")
    assert not process.after(0).ok
    process.progress.state("running")
    assert process.after(0).ok


def test_an_idle_process_is_healthy_for_as_long_as_its_loop_comes_round() -> None:
    health = Process().loops_for(10 * STALL_MS, 0)

    assert (health.ok, health.state, health.in_flight, health.idle_ms) == (True, "running", 0, 0)


def test_a_busy_process_that_moves_is_healthy() -> None:
    assert Process().loops_for(10 * STALL_MS, 500, moved=True).ok


def test_unfinished_events_that_do_not_move_make_it_unhealthy_after_the_set_while() -> None:
    process = Process()

    assert process.loops_for(STALL_MS, 3).ok
    health = process.loops_for(1_000, 3)

    assert (health.ok, health.state, health.detail) == (False, "stalled", "unfinished events do not move")
    assert (health.in_flight, health.idle_ms) == (3, STALL_MS + 1_000)


def test_moving_again_makes_it_healthy_again() -> None:
    process = Process()
    assert not process.loops_for(2 * STALL_MS, 3).ok

    process.progress.looped(2, moved=True)

    assert process.after(0).ok


@pytest.mark.parametrize("in_flight", [0, 3])
def test_a_loop_that_does_not_come_round_makes_it_unhealthy_whatever_it_holds(in_flight: int) -> None:
    process = Process()
    process.progress.looped(in_flight, moved=True)

    assert process.after(STALL_MS).ok
    health = process.after(1)

    assert (health.ok, health.detail) == (False, "the loop does not come round")


def test_time_spent_restoring_is_not_held_against_it() -> None:
    process = Process("restoring")
    assert process.after(10 * STALL_MS).state == "restoring"

    process.progress.state("running")

    assert process.after(STALL_MS).ok


def test_who_finishes_its_work_on_the_way_out_is_not_restarted_for_it() -> None:
    process = Process()
    process.progress.looped(7, moved=False)
    process.progress.state("stopping")

    health = process.after(10 * STALL_MS)

    assert (health.ok, health.state, health.in_flight) == (True, "stopping", 7)
