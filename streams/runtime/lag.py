"""How far behind a worker is: records it has not committed, and how long the oldest it holds has been waiting."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TypeVar

from confluent_kafka import KafkaException, TopicPartition

from streams.observe.metrics import Metrics
from streams.runtime.commit import Where
from streams.runtime.kafka import Clients

EVERY_MS = 5_000
"""Ends of partitions are asked of the broker: what a client knows by itself stands still while it does not fetch."""
ASK_TIMEOUT_S = 1.0
W = TypeVar("W", bound=Where)


class Lag:
    def __init__(self, stage: str, metrics: Metrics, now_ms: Callable[[], int]) -> None:
        self._stage = stage
        self._metrics = metrics
        self._now_ms = now_ms
        self._shown: frozenset[Where] = frozenset()
        self._looked_ms = 0

    def is_due(self) -> bool:
        """True at most once in EVERY_MS."""
        due = self._now_ms() - self._looked_ms >= EVERY_MS
        if due:
            self._looked_ms = self._now_ms()
        return due

    def show(self, committed: Mapping[W, int], ends: Mapping[W, int]) -> None:
        """A partition that is no longer ours shows 0: its new owner reports it."""
        for topic, partition in self._shown - committed.keys():
            self._set(topic, partition, 0)
        for where in committed.keys() & ends.keys():
            self._set(*where, max(ends[where] - committed[where], 0))
        self._shown = frozenset(committed)

    def show_oldest(self, since_ms: int | None) -> None:
        """`since_ms` is when the oldest unfinished event was taken; None when there is none."""
        waited_ms = 0 if since_ms is None else max(self._now_ms() - since_ms, 0)
        self._metrics.set("millrace_oldest_unfinished_seconds", self._stage, to=waited_ms / 1000)

    def _set(self, topic: str, partition: int, records: int) -> None:
        self._metrics.set("millrace_lag_records", self._stage, topic, str(partition), to=records)


class Ends:
    """Asks where partitions end, over a connection of its own: on the worker's, each question would queue behind a
    fetch that waits for records.
    """

    def __init__(self, clients: Clients) -> None:
        self._consumer = clients.reader()

    def of(self, partitions: Iterable[Where]) -> dict[Where, int]:
        """As far as the broker answers at once: one that does not is not asked for the rest."""
        ends: dict[Where, int] = {}
        with suppress(KafkaException):
            for topic, partition in partitions:
                where = TopicPartition(topic, partition)
                _, ends[topic, partition] = self._consumer.get_watermark_offsets(where, ASK_TIMEOUT_S)
        return ends

    def close(self) -> None:
        self._consumer.close()
