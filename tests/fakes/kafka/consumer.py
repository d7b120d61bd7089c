"""A member of a consumer group, as the application sees it: callbacks inside `poll`, commits that can be refused."""

from typing import Literal

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from streams.runtime.kafka import GroupConsumer, OnRebalance
from tests.fakes.kafka.fetch import Fetcher, where_of
from tests.fakes.kafka.host import Host
from tests.fakes.kafka.log import Where
from tests.fakes.kafka.membership import Gained, Lost, Membership

NO_OFFSET = -1001
COMMIT_TIMEOUT_S = 60.0


def _nothing(_consumer: GroupConsumer, _partitions: list[TopicPartition]) -> None:
    """Nobody wants to know."""


class FakeConsumer:
    def __init__(self, host: Host, group: str) -> None:
        self._host = host
        self._membership = Membership(host, group)
        self._fetcher = Fetcher(host, tell_ends=False)
        self._owned: tuple[Where, ...] = ()
        self._is_assigned = False
        self._on_assign = self._on_revoke = self._on_lost = _nothing

    def subscribe(
        self,
        topics: list[str],
        on_assign: OnRebalance | None = None,
        on_revoke: OnRebalance | None = None,
        on_lost: OnRebalance | None = None,
    ) -> None:
        self._host.call("subscribe")
        self._on_assign = on_assign or _nothing
        self._on_revoke = on_revoke or _nothing
        self._on_lost = on_lost or self._on_revoke
        self._membership.join(topics)

    def assignment(self) -> list[TopicPartition]:
        self._host.call("assignment")
        return [TopicPartition(*where) for where in self._fetcher.partitions]

    def assign(self, partitions: list[TopicPartition], /) -> None:
        self._host.call("assign")
        self._is_assigned = True
        self._fetcher.start({where_of(p): p.offset if p.offset >= 0 else self._start(where_of(p)) for p in partitions})

    def _start(self, where: Where) -> int:
        committed = self._membership.committed(where)
        return self._host.cluster.log(where).start if committed is None else committed

    def pause(self, partitions: list[TopicPartition], /) -> None:
        self._host.call("pause")
        self._fetcher.pause(map(where_of, partitions))

    def resume(self, partitions: list[TopicPartition], /) -> None:
        self._host.call("resume")
        self._fetcher.resume(map(where_of, partitions))

    def poll(self, timeout: float = -1, /) -> Message | None:
        messages = self._read("poll", 1, timeout)
        return messages[0] if messages else None

    def consume(self, num_messages: int = 1, timeout: float = -1, /) -> list[Message]:
        return self._read("consume", num_messages, timeout)

    def _read(self, call: str, most: int, timeout_s: float) -> list[Message]:
        """What was handed out of partitions that are gone before the call ends is taken back."""
        self._host.call(call)
        messages: list[Message] = []

        def enough() -> bool:
            if self._hear_news():
                messages.clear()
            while len(messages) < most and (message := self._fetcher.take()) is not None:
                messages.append(message)
            return len(messages) == most

        self._host.wait(enough, timeout_s)
        return messages

    def _hear_news(self) -> bool:
        """Whether there was any."""
        heard = bool(self._membership.news)
        while self._membership.news:
            match self._membership.news.popleft():
                case Gained(partitions):
                    self._gain(partitions)
                case Lost(is_past):
                    self._lose(self._on_lost if is_past else self._on_revoke)
                    self._membership.join()
        return heard

    def _gain(self, partitions: tuple[Where, ...]) -> None:
        self._owned = partitions
        self._is_assigned = False
        given = [TopicPartition(*where) for where in partitions]
        self._on_assign(self, given)
        if not self._is_assigned:
            self.assign(given)

    def _lose(self, told: OnRebalance) -> None:
        told(self, [TopicPartition(*where) for where in self._owned])
        self._owned = ()
        self._fetcher.start({})

    def committed(self, partitions: list[TopicPartition], timeout: float = -1, /) -> list[TopicPartition]:
        self._host.ask_coordinator("committed", timeout)
        known = {where_of(p): self._membership.committed(where_of(p)) for p in partitions}
        return [TopicPartition(*where, NO_OFFSET if offset is None else offset) for where, offset in known.items()]

    def commit(
        self,
        *,
        offsets: list[TopicPartition],
        asynchronous: Literal[False],  # noqa: ARG002  # the only way the runtime commits
    ) -> list[TopicPartition]:
        self._host.ask_coordinator("commit", COMMIT_TIMEOUT_S)
        problem = self._membership.commit({where_of(each): each.offset for each in offsets})
        if self._host.conditions.happens("reply lost"):
            problem = KafkaError._TIMED_OUT  # a public code whose name has an underscore
        if problem is not None:
            raise KafkaException(KafkaError(problem))
        return [TopicPartition(each.topic, each.partition, each.offset) for each in offsets]

    def close(self) -> None:
        """Gives up what it holds, in good order, and leaves."""
        self._host.call("close")
        is_past = any(isinstance(news, Lost) and news.is_past for news in self._membership.news)
        if self._owned:
            self._lose(self._on_lost if is_past else self._on_revoke)
        self._membership.leave()
