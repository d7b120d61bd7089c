"""The brokers: topics, groups, and whether anybody reaches them."""

from collections.abc import Callable, Mapping, Sequence

from streams.runtime.cluster import Wanted
from tests.fakes.kafka.group import Group
from tests.fakes.kafka.log import FOREVER_MS, Headers, PartitionLog, Stored, TopicConfig, Where
from tests.fakes.kafka.timeline import Timeline

OnAppend = Callable[[Stored], None]
OnCommit = Callable[[str, Mapping[Where, int]], None]


class Cluster:
    """`is_reachable` False: brokers are away, and what clients ask of them waits."""

    def __init__(self, timeline: Timeline, *, session_ms: int, rebalance_ms: int = 300_000) -> None:
        self.timeline = timeline
        self.session_ms = session_ms
        self.is_reachable = True
        self.on_append: list[OnAppend] = []
        self.on_commit: list[OnCommit] = []
        self._rebalance_ms = rebalance_ms
        self._topics: dict[str, list[PartitionLog]] = {}
        self._groups: dict[str, Group] = {}

    def create(self, topics: Sequence[Wanted]) -> None:
        for wanted in topics:
            config = _config(wanted)
            self._topics[wanted.name] = [PartitionLog(config) for _ in range(wanted.partitions)]

    def log(self, where: Where) -> PartitionLog:
        topic, partition = where
        return self._topics[topic][partition]

    def partitions(self, topic: str) -> int:
        return len(self._topics[topic])

    def records(self, topic: str) -> list[Stored]:
        """All that is on the topic, partition by partition."""
        return [stored for log in self._topics[topic] for stored in log.records]

    def compact(self) -> None:
        """Of the topics that are to be compacted."""
        for log in (log for logs in self._topics.values() for log in logs if log.config.is_compacted):
            log.compact()

    def append(
        self,
        where: Where,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        timestamp_ms: int | None = None,
    ) -> Stored | int:
        """The error code when the topic does not take the record. Without a timestamp, now."""
        log = self.log(where)
        written_ms = self.timeline.now_ms if timestamp_ms is None else timestamp_ms
        size = len(key or b"") + len(value or b"") + sum(len(name) + len(content) for name, content in headers)
        refusal = log.config.refusal(written_ms, size, self.timeline.now_ms)
        if refusal is not None:
            return refusal
        stored = log.append(where, written_ms, key, value, headers)
        for told in self.on_append:
            told(stored)
        return stored

    def group(self, name: str) -> Group:
        def committed(offsets: Mapping[Where, int]) -> None:
            for told in self.on_commit:
                told(name, offsets)

        if name not in self._groups:
            self._groups[name] = Group(
                self.timeline,
                self.partitions,
                committed,
                session_ms=self.session_ms,
                rebalance_ms=self._rebalance_ms,
            )
        return self._groups[name]


def _config(wanted: Wanted) -> TopicConfig:
    return TopicConfig(
        partitions=wanted.partitions,
        max_message_bytes=int(wanted.config["max.message.bytes"]),
        before_max_ms=int(wanted.config.get("message.timestamp.before.max.ms", FOREVER_MS)),
        after_max_ms=int(wanted.config.get("message.timestamp.after.max.ms", FOREVER_MS)),
        is_compacted="compact" in wanted.config["cleanup.policy"],
    )
