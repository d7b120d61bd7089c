"""Every request that is on the topic is answered exactly once, by the rules of `millrace audit`, while it happens."""

from collections.abc import Sequence

from scripts.chaos.verify.facts import Lettered, Requested, Responded, Seen, Unreadable
from scripts.chaos.verify.snapshot import Snapshot
from scripts.chaos.verify.tally import Tally
from scripts.chaos.verify.wording import clock, where
from scripts.cli.audit_fold import REUSED, Asked, Buried, Place, Replied


class Answers:
    """Remembers whom every answer is for, which record, and where it is; all of a request only until it is covered."""

    def __init__(self) -> None:
        self.once = Tally("one answer", "every request on llm.requests has exactly one terminal response")
        self.asked = Tally("no answer to nothing", "every response answers a record that is on llm.requests")
        self.readable = Tally("readable responses", "everything on llm.responses is a response")
        self.requests = 0
        self._answers: dict[str, Place] = {}
        self._answered: dict[Place, Place] = {}
        self._open: dict[Place, Asked] = {}
        self._open_under: dict[str, set[Place]] = {}
        self._buried_early: dict[Place, bool] = {}
        self._answered_early: dict[Place, Replied] = {}
        self._read: dict[tuple[str, int], int] = {}

    @property
    def tallies(self) -> Sequence[Tally]:
        return self.once, self.asked, self.readable

    @property
    def answered(self) -> int:
        return len(self._answers)

    @property
    def open(self) -> int:
        return len(self._open)

    def take(self, seen: Seen) -> None:
        match seen.fact:
            case Requested(asked):
                self._request(asked)
            case Responded(replied):
                self.readable.hold(None)
                self._respond(replied)
            case Lettered(buried):
                self._bury(buried)
            case Unreadable(problem) if seen.topic == "responses":
                self.readable.hold(f"{where(seen.place)} cannot be read: {problem}")
            case _:
                pass

    def _request(self, asked: Asked) -> None:
        self.requests += 1
        self._read[asked.place[:2]] = asked.place.offset
        is_answered = self._answered_early.pop(asked.place, None) is not None
        if is_answered:
            self.asked.hold(None)
        was_reused = self._buried_early.pop(asked.place, None)
        is_buried = was_reused is not None and _covers(asked, was_reused=was_reused)
        if is_answered or is_buried or asked.identity in self._answers:
            return
        self._open[asked.place] = asked
        self._open_under.setdefault(asked.identity, set()).add(asked.place)

    def _respond(self, replied: Replied) -> None:
        first = self._answers.setdefault(replied.identity, replied.place)
        first_to_record = self._answered.setdefault(replied.answers, replied.place)
        if first != replied.place:
            self.once.hold(f"{replied.identity} is answered at {where(first)} and again at {where(replied.place)}")
        elif first_to_record != replied.place:  # once as a stranger's, and once as its tenant's
            asked = f"{replied.identity}, the record {where(replied.answers)},"
            self.once.hold(f"{asked} is answered at {where(first_to_record)} and again at {where(replied.place)}")
        else:
            self.once.hold(None)
        if replied.answers in self._open:
            self.asked.hold(None)
            self._cover(replied.answers)
        elif replied.answers.offset > self._read.get(replied.answers[:2], -1):
            self._answered_early[replied.answers] = replied
        for place in [*self._open_under.get(replied.identity, ())]:
            self._cover(place)

    def _bury(self, buried: Buried) -> None:
        about = buried.about
        if about is None:
            return
        asked = self._open.get(about)
        was_reused = buried.reason == REUSED
        if asked is None:
            self._buried_early[about] = was_reused or self._buried_early.get(about, False)
        elif _covers(asked, was_reused=was_reused):
            self._cover(about)

    def _cover(self, place: Place) -> None:
        asked = self._open.pop(place)
        places = self._open_under[asked.identity]
        places.discard(place)
        if not places:
            del self._open_under[asked.identity]

    def look(self, snapshot: Snapshot) -> None:
        pass

    def waits(self) -> Sequence[str]:
        return [f"{len(self._open)} requests are not answered yet"] if self._open else []

    def end(self, _snapshot: Snapshot) -> None:
        for identity, places in self._open_under.items():
            asked = self._open[min(places, key=lambda place: self._open[place].at_ms)]
            self.once.hold(f"{identity}, asked at {where(asked.place)} at {clock(asked.at_ms)}, has no response")
        for place, replied in self._answered_early.items():
            self.asked.hold(f"{replied.identity} at {where(replied.place)} answers {where(place)}, which is not there")


def _covers(asked: Asked, *, was_reused: bool) -> bool:
    """A dead letter stands for an answer where an id was used before, and where there is no id to answer."""
    return was_reused or asked.request_id is None
