"""What a consumer's background thread does in its group: joins, keeps its place, and hears what it gains and loses."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from confluent_kafka import KafkaError

from streams.runtime.clients import HEARTBEAT_MS
from tests.fakes.kafka.group import Answer, Joined
from tests.fakes.kafka.host import Host
from tests.fakes.kafka.log import Where
from tests.fakes.kafka.timeline import Action

RETRY_MS = 100


@dataclass(frozen=True, slots=True)
class Gained:
    partitions: tuple[Where, ...]


@dataclass(frozen=True, slots=True)
class Lost:
    """`is_past`: somebody else may own them already."""

    is_past: bool


News = Gained | Lost


class Membership:
    """`news` is for the application to hear of inside its next poll; until then it works on as if nothing were.

    `client`: aiokafka still asks for commits when it has lost its place, under no name. It gives nothing up before a
    coordinator tells it to, however long it hears of none. And it beats only when it is told to.
    """

    def __init__(self, host: Host, group: str, *, client: Literal["librdkafka", "aiokafka"] = "librdkafka") -> None:
        self._is_aiokafka = client == "aiokafka"
        self._host = host
        self._group = host.cluster.group(group)
        self._topics: Sequence[str] = ()
        self._member_id: str | None = None
        self._generation = -1
        self._stay = 0
        self._heard_ms = 0
        self._is_giving_up = False
        self._is_joining = False
        self.news: deque[News] = deque()

    @property
    def generation(self) -> int:
        """-1 before it has a place, and after it has lost it."""
        return -1 if self._member_id is None else self._generation

    def check_errors(self) -> None:
        """Nothing keeps a member from its group here but what passes."""

    def join(self, topics: Sequence[str] | None = None) -> None:
        """Anew, once the application has given up what it held."""
        self._topics = topics or self._topics
        self._stay += 1
        self._is_giving_up = False
        self._is_joining = True
        self._try(self._stay, lambda: self._group.join(self._member_id, self._topics, self._on_joined(self._stay)))

    def request_rejoin(self) -> None:
        """As aiokafka's coordinator has it: who is joining anyway does not do so twice."""
        if not self._is_joining:
            self._give_up(is_past=False)

    def leave(self) -> None:
        self._stay += 1
        self.news.clear()
        member_id, self._member_id = self._member_id, None
        if member_id is not None and self._host.reaches_coordinator:
            self._host.timeline.after(self._host.conditions.latency_ms(), lambda: self._group.leave(member_id))

    def commit(self, offsets: Mapping[Where, int]) -> int | None:
        """An error code, or None. What the coordinator says of our place, we have heard then."""
        if self._member_id is None:
            return self._group.commit_as_nobody(offsets) if self._is_aiokafka else KafkaError.UNKNOWN_MEMBER_ID
        problem = self._group.commit(self._member_id, self._generation, offsets)
        self._hear(problem)
        return problem

    def committed(self, where: Where) -> int | None:
        return self._group.committed.get(where)

    def _try(self, stay: int, ask: Action) -> None:
        """Until the cluster can be reached, or it is no longer wanted."""

        def arrive() -> None:
            if stay == self._stay:
                if self._host.reaches_coordinator:
                    ask()
                else:
                    self._host.after(RETRY_MS, arrive)

        self._host.soon(arrive)

    def _on_joined(self, stay: int) -> Answer:
        def answer(joined: Joined) -> None:
            self._try(stay, lambda: self._begin(joined))

        return answer

    def _begin(self, joined: Joined) -> None:
        self._member_id, self._generation = joined.member_id, joined.generation
        self._heard_ms = self._host.timeline.now_ms
        self._is_joining = False
        self.news.append(Gained(joined.partitions))
        self._host.stir()
        if not self._is_aiokafka:
            self.beat()

    def beat(self) -> None:
        """From now on, until it joins anew."""
        self._beat_later(self._stay)

    def _beat_later(self, stay: int) -> None:
        self._host.after(HEARTBEAT_MS // 2 + self._host.conditions.up_to(HEARTBEAT_MS // 2), lambda: self._beat(stay))

    def _beat(self, stay: int) -> None:
        if stay != self._stay or self._member_id is None:
            return
        if self._host.reaches_coordinator:
            self._heard_ms = self._host.timeline.now_ms
            self._hear(self._group.heartbeat(self._member_id, self._generation))
        elif self._is_alone_too_long():
            self._give_up(is_past=True)
        self._beat_later(stay)

    def _is_alone_too_long(self) -> bool:
        silent_ms = self._host.timeline.now_ms - self._heard_ms
        return not self._is_aiokafka and not self._host.is_frozen and silent_ms > self._host.cluster.session_ms

    def _hear(self, problem: int | None) -> None:
        if problem == KafkaError.REBALANCE_IN_PROGRESS:
            self._give_up(is_past=False)
        elif problem in (KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION):
            self._member_id = None
            self._give_up(is_past=True)

    def _give_up(self, *, is_past: bool) -> None:
        """Told once, though what was to be given up may meanwhile be lost."""
        if not self._is_giving_up:
            self._is_giving_up = True
            self.news.append(Lost(is_past))
        elif is_past and self._host.conditions.happens("told as lost"):
            self.news = deque(Lost(is_past=True) if isinstance(news, Lost) else news for news in self.news)
        self._host.stir()
