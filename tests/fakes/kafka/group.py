"""The coordinator's side of a consumer group: members, generations, range assignment, commits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from confluent_kafka import KafkaError

from tests.fakes.kafka.log import Where
from tests.fakes.kafka.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Joined:
    member_id: str
    generation: int
    partitions: tuple[Where, ...]


Answer = Callable[[Joined], None]


@dataclass(slots=True)
class Member:
    topics: tuple[str, ...]
    seen_ms: int
    awaiting: Answer | None = None


class Group:
    """Eager: whenever a member comes or goes, all give up everything and join again. So they do when the leader joins
    again; any other member is told once more what it has.
    """

    def __init__(
        self,
        timeline: Timeline,
        partitions_of: Callable[[str], int],
        on_commit: Callable[[Mapping[Where, int]], None],
        *,
        session_ms: int,
        rebalance_ms: int,
    ) -> None:
        self._timeline = timeline
        self._partitions_of = partitions_of
        self._on_commit = on_commit
        self._session_ms = session_ms
        self._rebalance_ms = rebalance_ms
        self._phase: Literal["stable", "joining"] = "stable"
        self._members: dict[str, Member] = {}
        self._count = 0
        self._leader = ""
        self._assigned: dict[str, list[Where]] = {}
        self.generation = 0
        self.committed: dict[Where, int] = {}

    @property
    def members(self) -> Sequence[str]:
        return list(self._members)

    def join(self, member_id: str | None, topics: Sequence[str], answer: Answer) -> None:
        """`answer` is called when everybody has joined, or had long enough to."""
        known, topics = self._members.get(member_id or ""), tuple(sorted(topics))
        if member_id and known and self._phase == "stable" and member_id != self._leader and known.topics == topics:
            known.seen_ms = self._timeline.now_ms
            answer(Joined(member_id, self.generation, tuple(self._assigned[member_id])))
            return
        if member_id is None or member_id not in self._members:
            self._count += 1
            member_id = f"member-{self._count:04}"
        self._members[member_id] = Member(topics, self._timeline.now_ms, answer)
        self._begin()
        self._complete_if_all_are_here()

    def leave(self, member_id: str) -> None:
        if self._members.pop(member_id, None) is not None:
            self._begin()
            self._complete_if_all_are_here()

    def heartbeat(self, member_id: str, generation: int) -> int | None:
        """An error code, or None when all is well."""
        problem = self._problem(member_id, generation)
        if problem is not None:
            return problem
        self._members[member_id].seen_ms = self._timeline.now_ms
        return KafkaError.REBALANCE_IN_PROGRESS if self._phase == "joining" else None

    def commit(self, member_id: str, generation: int, offsets: Mapping[Where, int]) -> int | None:
        """An error code, or None when it is done. While others join, the generation that was may still commit."""
        problem = self._problem(member_id, generation)
        if problem is None:
            self._members[member_id].seen_ms = self._timeline.now_ms
            self._on_commit(offsets)
            self.committed.update(offsets)
        return problem

    def commit_as_nobody(self, offsets: Mapping[Where, int]) -> int | None:
        """A group that has no members takes it from anybody."""
        if self._members:
            return KafkaError.UNKNOWN_MEMBER_ID
        self._on_commit(offsets)
        self.committed.update(offsets)
        return None

    def _problem(self, member_id: str, generation: int) -> int | None:
        if member_id not in self._members:
            return KafkaError.UNKNOWN_MEMBER_ID
        return None if generation == self.generation else KafkaError.ILLEGAL_GENERATION

    def _begin(self) -> None:
        if self._phase == "joining":
            return
        self._phase = "joining"
        generation = self.generation

        def give_up_waiting() -> None:
            if self._phase == "joining" and self.generation == generation:
                self._complete()

        self._timeline.after(self._rebalance_ms, give_up_waiting)

    def _complete_if_all_are_here(self) -> None:
        if all(member.awaiting is not None for member in self._members.values()):
            self._complete()

    def _complete(self) -> None:
        self._members = {name: member for name, member in self._members.items() if member.awaiting is not None}
        self.generation += 1
        self._phase = "stable"
        if self._leader not in self._members:
            self._leader = next(iter(self._members), "")
        assigned = self._assigned = self._assign()
        for name, member in self._members.items():
            answer, member.awaiting = member.awaiting, None
            member.seen_ms = self._timeline.now_ms
            self._watch(name)
            if answer is not None:
                answer(Joined(name, self.generation, tuple(assigned[name])))

    def _assign(self) -> dict[str, list[Where]]:
        """Range: of each topic the members, in order of their ids, get neighbouring partitions; the first, one more."""
        assigned: dict[str, list[Where]] = {name: [] for name in self._members}
        for topic in sorted({topic for member in self._members.values() for topic in member.topics}):
            readers = sorted(name for name, member in self._members.items() if topic in member.topics)
            each, more = divmod(self._partitions_of(topic), len(readers))
            first = 0
            for number, name in enumerate(readers):
                count = each + (number < more)
                assigned[name] += [(topic, partition) for partition in range(first, first + count)]
                first += count
        return assigned

    def _watch(self, name: str) -> None:
        """Whoever is not heard of for a session's length is out; while it waits for the others it need say nothing."""
        generation = self.generation

        def look() -> None:
            member = self._members.get(name)
            if member is None or self.generation != generation or member.awaiting is not None:
                return
            silent_ms = self._timeline.now_ms - member.seen_ms
            if silent_ms >= self._session_ms:
                self.leave(name)
            else:
                self._timeline.after(self._session_ms - silent_ms, look)

        self._timeline.after(self._session_ms, look)
