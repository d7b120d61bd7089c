"""What both kinds of consumer share: positions, what has been fetched and not handed out, and pauses."""

from collections import deque
from collections.abc import Iterable

from confluent_kafka import KafkaError, Message, TopicPartition

from tests.fakes.kafka.host import Host
from tests.fakes.kafka.log import Stored, Where

CREATE_TIME = 1
END_OF_PARTITION = KafkaError._PARTITION_EOF  # a public code whose name has an underscore


def where_of(position: TopicPartition) -> Where:
    return position.topic, position.partition


class Fetcher:
    """`tell_ends`: hands out a sign when a partition's end is reached, and again each time it is reached again."""

    def __init__(self, host: Host, *, tell_ends: bool) -> None:
        self._host = host
        self._tell_ends = tell_ends
        self._next: dict[Where, int] = {}
        self._paused: set[Where] = set()
        self._ended: dict[Where, int] = {}
        self._fetched: deque[Message] = deque()

    @property
    def partitions(self) -> list[Where]:
        return list(self._next)

    def start(self, positions: dict[Where, int]) -> None:
        """Instead of whatever was read so far. A pause outlives it, as it does in librdkafka."""
        self._next = dict(positions)
        self._ended.clear()
        self._fetched.clear()

    def pause(self, partitions: Iterable[Where]) -> None:
        paused = {where for where in partitions if where in self._next}
        self._paused |= paused
        if not self._host.conditions.happens("stays fetched"):
            self._give_back(paused)

    def resume(self, partitions: Iterable[Where]) -> None:
        self._paused.difference_update(partitions)

    def _give_back(self, partitions: set[Where]) -> None:
        """What was fetched of these and not handed out is fetched again."""
        kept: deque[Message] = deque()
        for message in self._fetched:
            where = (message.topic() or "", message.partition() or 0)
            if where not in partitions:
                kept.append(message)
            elif message.error() is None:
                self._next[where] = min(self._next[where], message.offset() or 0)
        self._fetched = kept
        for where in partitions:
            self._ended.pop(where, None)

    def take(self) -> Message | None:
        """The next message that is there."""
        if not self._fetched:
            self._fetch()
        return self._fetched.popleft() if self._fetched else None

    def _fetch(self) -> None:
        if not self._host.reaches_cluster:
            return
        waiting = [where for where in self._next if where not in self._paused]
        while waiting:
            where = waiting.pop(self._host.conditions.up_to(len(waiting) - 1))
            if not self._host.conditions.happens("fetch waits"):
                self._fetch_from(where)

    def _fetch_from(self, where: Where) -> None:
        log, conditions = self._host.cluster.log(where), self._host.conditions
        end = max(log.end - conditions.up_to(3), self._next[where]) if conditions.happens("serves less") else log.end
        records = [record for record in log.read(self._next[where], 1_000) if record.offset < end]
        if records:
            chosen = records[: max(1, conditions.up_to(len(records)))]
            self._fetched.extend(map(message_of, chosen))
            self._next[where] = chosen[-1].offset + 1
        elif self._tell_ends and self._ended.get(where) != end:
            self._ended[where] = end
            topic, partition = where
            sign = Message(topic=topic, partition=partition, offset=end, error=KafkaError(END_OF_PARTITION))
            self._fetched.append(sign)


def message_of(stored: Stored) -> Message:
    return Message(
        topic=stored.topic,
        partition=stored.partition,
        offset=stored.offset,
        key=stored.key,
        value=stored.value,
        headers=list(stored.headers) or None,
        timestamp=(CREATE_TIME, stored.timestamp_ms),
    )
