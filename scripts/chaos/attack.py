"""All lanes of a schedule at work side by side, until it is carried out or time is up."""

from collections.abc import Sequence
from threading import Event, Thread

from scripts.chaos.kinds import LANES
from scripts.chaos.lane import Lane
from scripts.chaos.schedule import Planned
from scripts.chaos.system import System
from scripts.chaos.verdict import Invariant, judged


class Attack:
    """Begins with the first fault's time counted from `start_s`, a monotonic time."""

    def __init__(self, system: System, planned: Sequence[Planned], start_s: float) -> None:
        self._stop = Event()
        by_lane = [[each for each in planned if each.lane == lane] for lane in LANES]
        self._lanes = [Lane(system, each, start_s, self._stop) for each in by_lane]
        self._threads = [Thread(target=lane.run, name="faults", daemon=True) for lane in self._lanes]
        for thread in self._threads:
            thread.start()

    def now(self) -> list[Planned]:
        """What is injected at the moment."""
        return [lane.now for lane in self._lanes if lane.now is not None]

    def call_off(self) -> None:
        """Nothing is begun any more, and what goes on is healed, in threads of its own."""
        self._stop.set()

    def end(self) -> Invariant:
        """Returns when everything is healed."""
        self.call_off()
        for thread in self._threads:
            thread.join()
        failures = [failure for lane in self._lanes for failure in lane.failures]
        return judged("what was broken works again", sum(lane.carried_out for lane in self._lanes), failures)
