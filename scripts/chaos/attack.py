"""All faults of a schedule at their seconds, side by side, until it is carried out or time is up."""

import time
from collections.abc import Sequence
from threading import Event, Thread

from scripts.chaos.coverage import as_planned
from scripts.chaos.injection import Injection, Surroundings
from scripts.chaos.schedule import Planned
from scripts.chaos.system import System
from scripts.chaos.verdict import Invariant, judged


class Attack:
    """Begins with the first fault's time counted from `start_s`, a monotonic time."""

    def __init__(self, system: System, planned: Sequence[Planned], start_s: float) -> None:
        self._stop = Event()
        around = Surroundings(system, self._stop)
        self._injections = [Injection(each, around) for each in planned]
        self._start_s = start_s
        self._threads: list[Thread] = []
        self._timer = Thread(target=self._begin, name="schedule", daemon=True)
        self._timer.start()

    def now(self) -> list[Planned]:
        """What is injected at the moment."""
        return [each.planned for each in self._injections if each.state == "now"]

    def call_off(self) -> None:
        """Nothing is begun any more, and what goes on is healed, in threads of its own."""
        self._stop.set()

    def end(self) -> list[Invariant]:
        """Returns when everything is healed."""
        self.call_off()
        self._timer.join()
        for thread in self._threads:
            thread.join()
        failures = [failure for each in self._injections for failure in each.failures]
        done = [each.planned for each in self._injections if each.state == "done"]
        return [
            judged("what was broken works again", len(done), failures),
            as_planned([each.planned for each in self._injections], frozenset(each.id for each in done)),
        ]

    def _begin(self) -> None:
        """Each on a thread of its own: one that waits for its target to recover holds up nobody else."""
        for each in self._injections:
            if self._stop.wait(max(0.0, self._start_s + each.planned.at_s - time.monotonic())):
                each.skip("the load has ended")
                continue
            thread = Thread(target=each.run, name=f"fault {each.planned.id}", daemon=True)
            self._threads = [alive for alive in self._threads if alive.is_alive()]
            self._threads.append(thread)
            thread.start()
