"""One planned fault, from its second until its target has recovered; whatever happens, it is healed."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event
from typing import Final, Literal

from scripts.chaos.claims import Claims
from scripts.chaos.faults.choice import fault_of
from scripts.chaos.faults.fault import Fault
from scripts.chaos.outages import Outages, deadline_s
from scripts.chaos.schedule import Planned
from scripts.chaos.system import System

UNHINDERED_WITHIN_S: Final = 20.0
_LOOK_S: Final = 0.25
_LOOKS_ON_S: Final = 10.0
"""After the load has ended: a fault may be undone only where its target works again."""

State = Literal["waiting", "now", "recovering", "done", "skipped"]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all faults of a run share; `stop` ends the waiting, and heals."""

    system: System
    stop: Event
    claims: Claims = field(default_factory=Claims)
    outages: Outages = field(default_factory=lambda: Outages(time.monotonic))


class Injection:
    """`run` blocks until the target works again, or has been given up; others go on beside it."""

    def __init__(
        self, planned: Planned, around: Surroundings, make: Callable[[Planned, System], Fault] = fault_of
    ) -> None:
        self.planned = planned
        self.state: State = "waiting"
        self.failures: list[str] = []
        """Could not be done or undone, or did not work again afterwards, in words."""
        self._around = around
        self._make = make

    def run(self) -> None:
        planned, around = self.planned, self._around
        fault = self._make(planned, around.system)
        try:
            if hindrance := self._hindrance(fault):
                self.skip(hindrance)
                return
            around.outages.began(planned)
            self._carry_out(fault)
        except Exception as error:  # noqa: BLE001  # see `_carry_out`
            self._failed(error)
        finally:
            around.outages.ended(planned)
            around.claims.release(planned)

    def skip(self, why: str) -> None:
        self.state = "skipped"
        self._tell("skipped", why=why)

    def _carry_out(self, fault: Fault) -> None:
        self._tell("injected", **fault.describe(), for_s=self.planned.for_s)
        self.state = "now"
        try:
            fault.inject()
            self._around.stop.wait(self.planned.for_s)
        except Exception as error:  # noqa: BLE001  # a fault that cannot be done is told, and the rest goes on
            self._failed(error)
        try:
            fault.heal()
        except Exception as error:  # noqa: BLE001  # see above
            self._failed(error)
        self.state = "recovering"
        recovered = self._recovers(fault)
        self.state = "done"
        self._tell("healed", pid=self._around.system.pid(self.planned.target), recovered=recovered)

    def _recovers(self, fault: Fault) -> bool:
        planned, around = self.planned, self._around
        broken_until_s = started_s = time.monotonic()
        ends_s: float | None = None
        pid = around.system.pid(planned.target)
        while not fault.recovered():
            if (now_pid := around.system.pid(planned.target)) not in (None, pid):
                pid, started_s = now_pid, time.monotonic()
            if time.monotonic() > deadline_s(broken_until_s, started_s, around.outages.until_s(planned)):
                after_s = time.monotonic() - broken_until_s
                self.failures.append(f"{planned.target} does not work {after_s:.0f} s after {planned.kind}")
                return False
            if not around.stop.wait(_LOOK_S):
                continue
            ends_s = ends_s or time.monotonic() + _LOOKS_ON_S
            if time.monotonic() > ends_s:
                return False
            time.sleep(_LOOK_S)
        return True

    def _hindrance(self, fault: Fault) -> str:
        """Looked for until there is none, for some seconds; then the target is this fault's."""
        end_s = time.monotonic() + UNHINDERED_WITHIN_S
        while why := self._hindered_by(fault):
            if time.monotonic() > end_s:
                return why
            if self._around.stop.wait(_LOOK_S):
                return "the load has ended"
        return ""

    def _hindered_by(self, fault: Fault) -> str:
        """A target is claimed while its state is looked at, and released so that others may have it first."""
        if (other := self._around.claims.take(self.planned)) is not None:
            return f"{other.kind} {other.target} is not over yet"
        if why := fault.hindrance():
            self._around.claims.release(self.planned)
        return why

    def _failed(self, error: Exception) -> None:
        why = f"{self.planned.kind} {self.planned.target}: {type(error).__name__}: {error}"
        self.failures.append(why)
        self._tell("failed", why=why)

    def _tell(self, event: str, **fields: object) -> None:
        planned = self.planned
        self._around.system.journal.write(
            event=event, id=planned.id, fault=planned.kind, target=planned.target, **fields
        )
