"""Whether a watch that starts, or ends, still moves."""

import threading
from dataclasses import dataclass, field
from typing import Any

import pytest

from streams.observe.health import Health, State
from streams.watch import standstill as module
from streams.watch.standstill import Guard, Standstill, sign_of


@dataclass
class Recovery:
    active_offsets: dict[str, int | None] = field(default_factory=dict[str, int | None])


@dataclass
class Tables:
    recovery: Recovery = field(default_factory=Recovery)


@dataclass
class App:
    should_stop: bool = False
    rebalancing: bool = True
    tables: Tables = field(default_factory=Tables)


def sign(app: App, state: State = "starting") -> Any:
    return sign_of(app, Health(state, 0, 0))


def test_what_does_not_change_stands_still_since_it_was_first_seen() -> None:
    standstill = Standstill()
    assert standstill.lasts_s("starting", 100.0) == 0
    assert standstill.lasts_s("starting", 161.0) == 61.0
    assert standstill.lasts_s("restoring", 162.0) == 0
    assert standstill.lasts_s("restoring", 163.0) == 1.0


def test_who_works_does_not_stand_still_however_long_there_is_nothing_to_do() -> None:
    standstill = Standstill()
    assert standstill.lasts_s(None, 100.0) == 0
    assert standstill.lasts_s(None, 1_000.0) == 0
    assert standstill.lasts_s("restoring", 1_001.0) == 0


@pytest.mark.parametrize("state", ["running", "stalled", "stopping"])
def test_a_watch_that_has_begun_shows_no_sign(state: State) -> None:
    assert sign(App(), state) is None


@pytest.mark.parametrize("state", ["starting", "restoring"])
def test_a_table_that_grows_and_a_rebalance_that_ends_are_movements(state: State) -> None:
    app = App()
    first = sign(app, state)
    assert sign(app, state) == first
    app.tables.recovery.active_offsets["health-0"] = None  # it is not known yet where it begins
    assert sign(app, state) != first
    app.tables.recovery.active_offsets["health-0"] = 1
    second = sign(app, state)
    app.rebalancing = False
    assert len({first, second, sign(app, state)}) == 3


def test_a_watch_that_ends_is_told_from_one_that_begins() -> None:
    assert sign(App(should_stop=True)) == "ending"
    assert sign(App(should_stop=True), "running") == "ending"


def test_a_look_out_that_fails_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    ended = threading.Event()

    def exit_hard(why: str) -> None:
        told.append(why)
        ended.set()

    def health() -> Health:
        raise TypeError("nobody thought of this")

    monkeypatch.setattr(module, "exit_hard", exit_hard)
    monkeypatch.setattr(module, "LOOK_S", 0.001)
    with Guard(App(), health, lambda: 0.0):
        assert ended.wait(10)
    assert told == ["who looks on whether watch stands still failed"]
