"""Reads topics from their beginning and on, outside any group, through every outage; commits nothing."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.topics import TOPICS
from streams.runtime.clients import admin_config, reader_config
from streams.runtime.delivery import Delivery
from streams.runtime.messages import END_OF_PARTITION, delivery_of
from streams.settings import KafkaSettings

log = logging.getLogger(__name__)
_BATCH = 2_000
_ASK_S = 10.0


def topic_names(kafka: KafkaSettings) -> Mapping[str, str]:
    """Names without the prefix by full name."""
    return {kafka.topic(topic): topic.name for topic in TOPICS}


def partitions(kafka: KafkaSettings, wait_s: Callable[[float], None]) -> Mapping[str, int]:
    """Of each of our topics, once the brokers tell; asks until they do."""
    client = AdminClient(admin_config(kafka))
    names = topic_names(kafka)
    while True:
        try:
            found = client.list_topics(timeout=_ASK_S).topics
        except KafkaException as error:
            log.warning("brokers do not answer: %s", error)
            wait_s(1.0)
            continue
        counts = {name: len(found[name].partitions) for name in names if name in found}
        if len(counts) == len(names) and all(counts.values()):
            return counts
        wait_s(1.0)


class Follower:
    """Not safe for use by several threads at once. `heard_s`: when anything came last, by the monotonic clock."""

    def __init__(self, kafka: KafkaSettings, counts: Mapping[str, int]) -> None:
        self._kafka = kafka
        self._next = {(topic, partition): 0 for topic, count in counts.items() for partition in range(count)}
        self._consumer = self._begin()

    def _begin(self) -> Consumer:
        consumer = Consumer({**reader_config(self._kafka), "client.id": "millrace-verifier"})
        consumer.assign([TopicPartition(*place, at or OFFSET_BEGINNING) for place, at in self._next.items()])
        self.heard_s = time.monotonic()
        return consumer

    def begin_again(self) -> None:
        """Where it stands, with a new client. One that had met eight fenced leaders in five minutes was seen to read
        nothing more for ten, of any partition, while the brokers were well.
        """
        log.warning("nothing was read for %.0f s: begun again", time.monotonic() - self.heard_s)
        self._consumer.close()
        self._consumer = self._begin()

    def poll(self, timeout_s: float) -> Sequence[Delivery]:
        """In order within a partition, and each offset once, even when the client starts over after an outage."""
        first = self._consumer.poll(timeout_s)
        if first is not None:
            self.heard_s = time.monotonic()
        found: list[Delivery] = []
        for message in [] if first is None else [first, *self._consumer.consume(_BATCH, 0)]:
            error = message.error()
            place = (message.topic() or "", message.partition() or 0)
            if error is None:
                delivery = delivery_of(message)
                if delivery.offset >= self._next.get(place, 0):
                    self._next[place] = delivery.offset + 1
                    found.append(delivery)
            elif error.code() == END_OF_PARTITION:
                self._next[place] = max(self._next.get(place, 0), message.offset() or 0)
            else:
                log.warning("%s/%s: %s", *place, error.str())
        return found

    def has_passed(self, ends: Iterable[tuple[tuple[str, int], int]]) -> bool:
        return all(self._next.get(place, 0) >= end for place, end in ends)

    def close(self) -> None:
        self._consumer.close()
