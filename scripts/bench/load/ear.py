"""Hears answers on a topic, from the moment it was made: when each came, and how many are still to come."""

import threading
import time
from typing import Any, Final

from confluent_kafka import Consumer, Message, TopicPartition

_AT_ONCE: Final = 500
_LOOK_S: Final = 0.1
_ANSWERS_WITHIN_S: Final = 30.0


class Ear:
    """Listens on a thread of its own until `expected` different ids that start with `prefix` have come, or `stop`."""

    def __init__(self, bootstrap_servers: str, topic: str, prefix: str, expected: int) -> None:
        self._prefix = prefix.encode()
        self._expected = expected
        self._consumer = _at_the_end(bootstrap_servers, topic)
        self._stop = threading.Event()
        self.done = threading.Event()
        self.heard: dict[bytes, tuple[int, bytes]] = {}
        """By id: when the first answer came (nanoseconds, UTC), and the answer."""
        self.repeated = 0
        self.last_ns = time.time_ns()
        self._thread = threading.Thread(target=self._listen, name="ear", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def _listen(self) -> None:
        while not self._stop.is_set() and len(self.heard) < self._expected:
            first = self._consumer.poll(_LOOK_S)
            if first is not None:
                self._take(first)
                for message in self._consumer.consume(_AT_ONCE, 0):
                    self._take(message)
        self.done.set()

    def _take(self, message: Message) -> None:
        now_ns = time.time_ns()
        key, value = message.key(), message.value()
        if message.error() is not None or key is None or value is None or not key.startswith(self._prefix):
            return
        self.last_ns = now_ns
        if key in self.heard:
            self.repeated += 1
        else:
            self.heard[key] = (now_ns, value)


def _at_the_end(bootstrap_servers: str, topic: str) -> Consumer:
    """What is on the topic already is somebody else's."""
    options: dict[str, Any] = {
        "bootstrap.servers": bootstrap_servers,
        "group.id": "bench-ear",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
    }
    consumer = Consumer(options)
    partitions = consumer.list_topics(topic, _ANSWERS_WITHIN_S).topics[topic].partitions
    places: list[TopicPartition] = []
    for partition in partitions:
        place = TopicPartition(topic, partition)
        place.offset = consumer.get_watermark_offsets(place, _ANSWERS_WITHIN_S)[1]
        places.append(place)
    consumer.assign(places)
    return consumer
