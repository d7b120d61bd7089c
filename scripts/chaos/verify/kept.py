"""What the brokers acknowledged to the load is on `llm.requests`, where they said it was."""

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
        for line in snapshot.acknowledged:
            self.tally.hold(self._missing(line))

    def _missing(self, line: Acknowledged) -> str | None:
        name = f"{line.tenant_id}/{line.request_id}"
        copies = self._unacknowledged.pop(line.load_number, {})
        if line.place is None:
            found = next(iter(copies.values()), None)
            if not copies:
                return f"{name}, record {line.load_number} of the load, was acknowledged and is nowhere"
            at = f"record {line.load_number} of the load"
        elif line.place not in copies:
            return f"{name} was acknowledged at {where(line.place)} and is not there"
        else:
            found, at = copies[line.place], where(line.place)
        return None if found == line.request_id else f"{at} holds {found} instead of {name}"

    def waits(self) -> Sequence[str]:
        return ()

    def end(self, snapshot: Snapshot) -> None:
        pass
