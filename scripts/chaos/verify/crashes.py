"""No process of ours ends by a bug, or says that it could not tell a requester."""

from collections.abc import Sequence

from schemas.participants import PARTS
from scripts.chaos.verify.facts import Seen
from scripts.chaos.verify.snapshot import Snapshot
from scripts.chaos.verify.tally import Tally

BUGS = (
    '"event":"ended_by_a_bug"',
    *(f'"event":"thread_ended_by_a_bug","stage":"{part}"' for part in PARTS if part != "watch"),
    '"event":"requester_not_told"',
    "Traceback (most ",
)
"""What a log holds then. That a worker ends because brokers took no record is told in a sentence, and is none. Nor is a
thread of `watch`: Faust cancels its consumer's when it ends because brokers are away, and the process then says so.
"""


class Crashes:
    def __init__(self) -> None:
        self.tally = Tally("no process ends by a bug", "no log has a crash, or a traceback")

    @property
    def tallies(self) -> Sequence[Tally]:
        return (self.tally,)

    def take(self, seen: Seen) -> None:
        pass

    def look(self, snapshot: Snapshot) -> None:
        self.tally.hold(None)  # logs up to here
        for found in snapshot.crashes:
            if found.mark.startswith("Traceback") and found.where.startswith("watch.log"):
                continue  # Faust prints them when brokers are away; how the process ends is judged by its last words
            self.tally.hold(f"{found.mark} in {found.where}")

    def waits(self) -> Sequence[str]:
        return ()

    def end(self, snapshot: Snapshot) -> None:
        pass
