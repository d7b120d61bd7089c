"""Carries out the faults of one lane, one after the other, at their times; whatever happens, each is healed."""

import time
from collections.abc import Callable, Sequence
from threading import Event
from typing import Final

from scripts.chaos.faults.choice import fault_of
from scripts.chaos.faults.fault import Fault
from scripts.chaos.schedule import Planned
from scripts.chaos.system import System

_UNHINDERED_WITHIN_S: Final = 20.0
_RECOVERS_WITHIN_S: Final = 60.0
_LOOK_S: Final = 0.25


class Lane:
    """`start_s` is the monotonic time the schedule counts from; `stop` ends the waiting, and heals."""

    def __init__(self, system: System, faults: Sequence[Planned], start_s: float, stop: Event) -> None:
        self._system = system
        self._faults = faults
        self._start_s = start_s
        self._stop = stop
        self.now: Planned | None = None
        """What is injected at the moment."""
        self.carried_out = 0
        self.failures: list[str] = []
        """Faults that could not be done or undone, and what did not work again afterwards, in words."""

    def run(self) -> None:
        for planned in self._faults:
            if self._stop.wait(max(0.0, self._start_s + planned.at_s - time.monotonic())):
                self._tell("skipped", planned, why="the load has ended")
            else:
                self._carry_out(planned)

    def _carry_out(self, planned: Planned) -> None:
        fault = fault_of(planned, self._system)
        if hindrance := self._hindrance(fault):
            self._tell("skipped", planned, why=hindrance)
            return
        self.now = planned
        self._tell("injected", planned, **fault.describe(), for_s=planned.for_s)
        try:
            fault.inject()
            self._stop.wait(planned.for_s)
        except Exception as error:  # noqa: BLE001  # a fault that cannot be done is told, and the rest goes on
            self._failed(planned, error)
        finally:
            self._heal(planned, fault)
            self.now = None
            self.carried_out += 1

    def _heal(self, planned: Planned, fault: Fault) -> None:
        try:
            fault.heal()
        except Exception as error:  # noqa: BLE001  # see above
            self._failed(planned, error)
        recovered = self._holds_within(_RECOVERS_WITHIN_S, fault.recovered)
        if not recovered and not self._stop.is_set():
            self.failures.append(f"{planned.target} does not work {_RECOVERS_WITHIN_S:g} s after {planned.kind}")
        pid = self._system.pid(planned.target)
        self._tell("healed", planned, pid=pid, recovered=recovered)

    def _failed(self, planned: Planned, error: Exception) -> None:
        why = f"{planned.kind} {planned.target}: {type(error).__name__}: {error}"
        self.failures.append(why)
        self._tell("failed", planned, why=why)

    def _hindrance(self, fault: Fault) -> str:
        self._holds_within(_UNHINDERED_WITHIN_S, lambda: not fault.hindrance())
        return fault.hindrance()

    def _holds_within(self, deadline_s: float, condition: Callable[[], bool]) -> bool:
        end_s = time.monotonic() + deadline_s
        while not condition():
            if time.monotonic() > end_s or self._stop.wait(_LOOK_S):
                return False
        return True

    def _tell(self, event: str, planned: Planned, **fields: object) -> None:
        self._system.journal.write(event=event, id=planned.id, fault=planned.kind, target=planned.target, **fields)
