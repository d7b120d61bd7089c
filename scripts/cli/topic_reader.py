"""Reading a topic as it stands, outside any group: nothing is committed and nobody else is disturbed."""

import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaException, TopicPartition

from schemas.topics import Topic
from scripts.cli.fault import Fault
from scripts.cli.kafka import QUIET, LiveCluster
from scripts.cli.offsets import Spans, spans
from streams.runtime.clients import reader_config
from streams.runtime.delivery import Delivery
from streams.runtime.messages import END_OF_PARTITION, delivery_of

SILENCE_S = 30.0
"""A broker that sends nothing for this long while there is something to read has gone."""
_BATCH = 1_000
_WAIT_S = 0.5


class TopicReader:
    """Use as a context manager. Not safe for use by several threads at once."""

    def __init__(self, cluster: LiveCluster, topic: Topic) -> None:
        """Raises Fault when there is no such topic."""
        self.topic = cluster.settings.topic(topic)
        self._kafka = cluster.settings
        self._partitions = cluster.partitions(topic)
        self._consumer = Consumer({**reader_config(cluster.settings), **QUIET})

    def spans(self, since_ms: int | None = None) -> Spans:
        """What is there now: all of it, or what was written at or after `since_ms`."""
        return spans(self._kafka, {self.topic: self._partitions}, since_ms)[self.topic]

    def read(self, wanted: Spans) -> Iterator[Delivery]:
        """Every record of the spans: in order within a partition, in no order between them."""
        ends = {partition: span.end for partition, span in wanted.items() if span.count}
        self._assign({partition: wanted[partition].start for partition in ends})
        heard_s = time.monotonic()
        while ends:
            for item in self._arrivals():
                heard_s = time.monotonic()
                if isinstance(item, int):  # at its end with nothing at the last offsets: cleaned up, or a marker
                    ends.pop(item, None)
                    continue
                end = ends.get(item.partition)
                if end is None or item.offset >= end:
                    continue
                yield item
                heard_s = time.monotonic()  # it was not Kafka that was waited for meanwhile
                if item.offset + 1 >= end:
                    ends.pop(item.partition)
            if time.monotonic() - heard_s > SILENCE_S:
                raise Fault(f"Kafka stopped answering while {self.topic} was read; try again")

    def follow(self, seen: Spans) -> Iterator[Delivery]:
        """Every record that comes after the spans, for as long as it is asked."""
        self._assign({partition: span.end for partition, span in seen.items()})
        while True:
            for item in self._arrivals():
                if not isinstance(item, int):
                    yield item

    def _assign(self, starts: Mapping[int, int]) -> None:
        self._consumer.assign([TopicPartition(self.topic, partition, start) for partition, start in starts.items()])

    def _arrivals(self) -> Iterator[Delivery | int]:
        """Records, and the number of a partition that has none left for now."""
        first = self._consumer.poll(_WAIT_S)
        # waits for the first one only: `consume` alone would wait for a full batch
        for message in [] if first is None else [first, *self._consumer.consume(_BATCH, 0)]:
            error = message.error()
            if error is None:
                yield delivery_of(message)
            elif error.code() == END_OF_PARTITION:
                yield message.partition() or 0
            elif not error.retriable():
                raise KafkaException(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()
