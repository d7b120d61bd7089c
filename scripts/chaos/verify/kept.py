"""What the brokers acknowledged to the load is on `llm.requests`, where they said it was: found there at the latest at
the end, since a record may be there and not be readable yet.
"""

from collections.abc import Sequence

from scripts.chaos.verify.facts import Requested, Seen
from scripts.chaos.verify.snapshot import Acknowledged, Snapshot
from scripts.chaos.verify.tally import Tally
from scripts.chaos.verify.wording import where
from scripts.cli.audit_fold import Place


class Kept:
    """Remembers a record of the load, each of its copies, until its acknowledgement has been read."""

    def __init__(self) -> None:
        self.tally = Tally("requests are kept", "every record the brokers acknowledged to the load is on llm.requests")
        self._unacknowledged: dict[int, dict[Place, str | None]] = {}
        self._sought: list[Acknowledged] = []

    @property
    def tallies(self) -> Sequence[Tally]:
        return (self.tally,)

    def take(self, seen: Seen) -> None:
        match seen.fact:
            case Requested(asked, _, int(number)):
                self._unacknowledged.setdefault(number, {})[seen.place] = asked.request_id
            case _:
                pass

    def look(self, snapshot: Snapshot) -> None:
        self._sought = [line for line in (*self._sought, *snapshot.acknowledged) if not self._found(line)]

    def _found(self, line: Acknowledged) -> bool:
        copies = self._unacknowledged.get(line.load_number, {})
        place = next(iter(copies), None) if line.place is None else line.place
        if place is None or place not in copies:
            return False
        found = copies[place]
        del self._unacknowledged[line.load_number]
        is_another = f"{where(place)} holds {found} instead of {_name(line)}, record {line.load_number} of the load"
        self.tally.hold(None if found == line.request_id else is_another)
        return True

    def waits(self) -> Sequence[str]:
        return ()

    def end(self, _snapshot: Snapshot) -> None:
        for line in self._sought:
            at = "" if line.place is None else f" at {where(line.place)}"
            name = f"{_name(line)}, record {line.load_number} of the load,"
            self.tally.hold(f"{name} was acknowledged{at} and is {'not there' if at else 'nowhere'}")
        self._sought = []


def _name(line: Acknowledged) -> str:
    return f"{line.tenant_id}/{line.request_id}"
