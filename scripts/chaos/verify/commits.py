"""A committed offset never moves back, and never passes an event that has not led to its outcome.

An outcome is a record written for the event (its id says so), or a dead letter about it, or a row in ClickHouse; or
that nothing was left to do, which has to be shown by what was done before. Remembers an event until it is committed.

A leader that was killed and is back tells for a while of an end before what it had acknowledged: what seems to have led
to nothing is looked for again for a minute.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from schemas.call import PHASE_VERSION
from schemas.topics import DISPATCH
from scripts.chaos.verify.attempts import Attempts
from scripts.chaos.verify.facts import (
    Admitted,
    Called,
    Completed,
    Dispatched,
    Fact,
    Lettered,
    Responded,
    Seen,
    Validated,
)
from scripts.chaos.verify.snapshot import GroupPartition, Snapshot
from scripts.chaos.verify.tally import Tally
from scripts.chaos.verify.wording import where
from scripts.cli.audit_fold import Place

DISPATCHES = tuple(topic.name for topic in DISPATCH.values())
READERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "requests": ("validate",),
        "validated": ("limit",),
        "admitted": ("cache",),
        "misses": ("route",),
        **dict.fromkeys(DISPATCHES, ("invoke",)),
        "completions": ("postprocess",),
        "calls": ("limit", "sink"),
        "deferred": ("limit",),
    }
)
"""Whose outcomes are known, by topic. `watch` counts and writes nothing for a single event."""

OUTCOMES: Mapping[str, frozenset[tuple[str, str]]] = MappingProxyType(
    {
        "validate": frozenset({("requests", "validated"), ("requests", "completions")}),
        "limit": frozenset(
            {
                ("validated", "admitted"),
                ("validated", "deferred"),
                ("validated", "completions"),
                ("deferred", "admitted"),
                ("deferred", "completions"),
                ("calls", "accounts"),
            }
        ),
        "cache": frozenset({("admitted", "misses"), ("admitted", "completions")}),
        "route": frozenset(("misses", topic) for topic in (*DISPATCHES, "completions")),
        "invoke": frozenset((topic, "completions") for topic in DISPATCHES),
        "postprocess": frozenset(("completions", topic) for topic in ("responses", *DISPATCHES)),
    }
)
"""From which topic to which: what else a stage writes for an event (rows, flights, meters, handovers) ends nothing."""


DOUBTED_MS = 60_000


@dataclass(slots=True)
class _Input:
    """What one group reads of one partition. `early`: outcomes seen before their events. `doubted_ms`: since when what
    is committed seems to have led to nothing.
    """

    open: dict[int, Fact] = field(default_factory=dict[int, Fact])
    early: set[int] = field(default_factory=set[int])
    read: int = -1
    doubted_ms: dict[int, int] = field(default_factory=dict[int, int])


class Commits:
    """`topics`: names without the prefix by full name."""

    def __init__(self, attempts: Attempts, topics: Mapping[str, str]) -> None:
        self.forward = Tally("offsets go forward", "no group's committed offset ever moves back")
        self.finished = Tally("commits follow outcomes", "no committed offset passes an event without its outcome")
        self._attempts = attempts
        self._topics = topics
        self._inputs: dict[GroupPartition, _Input] = {}
        self._committed: dict[GroupPartition, int] = {}
        self._first: dict[str, tuple[int, str]] = {}
        self._admitted: dict[str, int] = {}
        self._answered: set[str] = set()
        self._behind: dict[str, int] = {}

    @property
    def tallies(self) -> Sequence[Tally]:
        return self.forward, self.finished

    def take(self, seen: Seen) -> None:
        match seen.fact:
            case Validated(identity=identity, digest=digest):
                self._first.setdefault(identity, (seen.place.offset, digest))
            case Admitted(identity=identity):
                self._admitted.setdefault(identity, seen.place.offset)
            case Responded(replied):
                self._answered.add(replied.identity)
            case Lettered(buried, Place() as about):
                self._outcome(buried.stage, about)
            case _:
                pass
        for part in READERS.get(seen.topic, ()):
            self._event(part, seen.place, seen.fact)
        if (cause := seen.cause) is not None:
            came_from = self._topics.get(cause.place.topic, "")
            if (came_from, seen.topic) in OUTCOMES.get(cause.stage, ()):
                self._outcome(cause.stage, cause.place)

    def _event(self, part: str, place: Place, fact: Fact) -> None:
        found = self._inputs.setdefault((part, place.topic, place.partition), _Input())
        found.read = max(found.read, place.offset)
        if place.offset in found.early:
            found.early.remove(place.offset)
            self._done(part, fact)
        else:
            found.open[place.offset] = fact

    def _outcome(self, part: str, place: Place) -> None:
        found = self._inputs.setdefault((part, place.topic, place.partition), _Input())
        if place.offset > found.read:
            found.early.add(place.offset)
        elif (fact := found.open.pop(place.offset, None)) is not None:
            found.doubted_ms.pop(place.offset, None)
            self._done(part, fact)

    def _done(self, part: str, fact: Fact) -> None:
        self.finished.hold(None)
        if part == "limit" and isinstance(fact, Called):
            self._attempts.by_id[fact.attempt_id].is_charged = True

    def look(self, snapshot: Snapshot) -> None:
        for where_, offset in snapshot.committed.items():
            before = self._committed.get(where_, -1)
            group, topic, partition = where_
            self.forward.hold(
                None if offset >= before else f"{group} on {topic}/{partition} moved back from {before} to {offset}"
            )
            self._committed[where_] = max(before, offset)
        self._behind = _behind(self._committed, snapshot)
        self._check_all(snapshot, snapshot.at_ms - DOUBTED_MS)

    def _check_all(self, snapshot: Snapshot, doubted_since_ms: int | None) -> None:
        for where_, found in self._inputs.items():
            had = snapshot.sink_had if where_[0] == "sink" else self._committed
            if had is not None:
                since_ms = snapshot.rows_since_ms if where_[0] == "sink" else None
                self._check(where_, found, had.get(where_, -1), since_ms, snapshot.at_ms, doubted_since_ms)

    def _check(
        self,
        where_: GroupPartition,
        found: _Input,
        committed: int,
        since_ms: int | None,
        at_ms: int,
        doubted_since_ms: int | None,
    ) -> None:
        """What was produced before `since_ms` was not asked for, and stays open until it is. Who is doubted since
        `doubted_since_ms` is doubted no more; None: nobody is.
        """
        part, topic, partition = where_
        for offset in [offset for offset in found.open if offset < committed]:
            fact = found.open[offset]
            if since_ms is not None and self._is_older(fact, since_ms):
                continue
            place = Place(topic, partition, offset)
            is_explained = self._is_explained(part, place, fact)
            first_ms = found.doubted_ms.setdefault(offset, at_ms)
            if not is_explained and doubted_since_ms is not None and first_ms > doubted_since_ms:
                continue
            del found.open[offset], found.doubted_ms[offset]
            led_to_nothing = f"{part} committed {committed} and {where(place)}, {_about(fact)}, has led to nothing"
            self.finished.hold(None if is_explained else led_to_nothing)

    def _is_older(self, fact: Fact, since_ms: int) -> bool:
        return isinstance(fact, Called) and self._attempts.by_id[fact.attempt_id].produced_ms < since_ms

    def _is_explained(self, part: str, place: Place, fact: Fact) -> bool:
        """Why an event below the committed offset may have no record of its own."""
        match part, fact:
            case "limit", Validated(identity=identity, digest=digest):  # a repeated id with the same content
                first, first_digest = self._first[identity]
                return first < place.offset and first_digest == digest
            case "limit", Called(phase=phase, tenant_id=tenant, tokens=tokens, attempt_id=attempt_id):
                settles = phase == "priced" and tenant and tokens
                return not settles or self._attempts.by_id[attempt_id].is_charged
            case "cache", Admitted(identity=identity):  # admitted before, and come to its end
                return self._admitted[identity] < place.offset and identity in self._attempts.first_completions
            case ("invoke", Dispatched(identity=identity)) | ("postprocess", Completed(identity=identity)):
                known = self._attempts.first_completions if part == "invoke" else self._answered
                return identity in known  # completed, or answered, before
            case "sink", Called(attempt_id=attempt_id, phase=phase):
                return self._attempts.by_id[attempt_id].stored >= PHASE_VERSION[phase]
            case _:
                return False

    def waits(self) -> Sequence[str]:
        return [f"{part} has {count} records to commit" for part, count in self._behind.items() if count]

    def end(self, snapshot: Snapshot) -> None:
        self._check_all(snapshot, None)


def _behind(committed: Mapping[GroupPartition, int], snapshot: Snapshot) -> dict[str, int]:
    behind: dict[str, int] = {}
    parts = {(part, topic) for part, topic, _ in committed}
    for (topic, partition), end in snapshot.ends.items():
        for part, read in parts:
            if read == topic and part != "watch":
                left = end - max(committed.get((part, topic, partition), 0), 0)
                behind[part] = behind.get(part, 0) + max(left, 0)
    return behind


def _about(fact: Fact) -> str:
    return str(getattr(fact, "identity", type(fact).__name__.lower()))
