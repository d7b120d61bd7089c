"""What a worker has fetched and not decided: a batch takes as much of one partition as of another.

Kafka's client hands over what it fetched in the order in which it came, so that a flood in one partition would stand
before everything that comes to all the others. Each partition's own order is kept.
"""

from collections import deque
from collections.abc import Container, Iterable
from itertools import islice

from confluent_kafka import Message

from streams.runtime.commit import Where

MOST_RECORDS = 10_000
MOST_BYTES = 16 * 1024 * 1024
"""Beyond either, more waits with the client, which has bounds of its own."""


class FairQueue:
    def __init__(self) -> None:
        self._lanes: dict[Where, deque[Message]] = {}
        self._count = 0
        self._bytes = 0

    def __len__(self) -> int:
        return self._count

    @property
    def has_room(self) -> bool:
        return self._count < MOST_RECORDS and self._bytes < MOST_BYTES

    def add(self, messages: Iterable[Message]) -> None:
        for message in messages:
            lane = self._lanes.get(where := (message.topic() or "", message.partition() or 0))
            if lane is None:
                lane = self._lanes[where] = deque()
            lane.append(message)
            self._count += 1
            self._bytes += len(message)

    def take(self, most: int, but_of: Container[str] = ()) -> list[Message]:
        """At most so many, and none of the topics `but_of`. Those that came off worst go first the next time."""
        lanes = {where: lane for where, lane in self._lanes.items() if where[0] not in but_of}
        taken: list[Message] = []
        while lanes and len(taken) < most:
            share = max((most - len(taken)) // len(lanes), 1)
            for where, lane in list(lanes.items()):
                here = min(share, len(lane), most - len(taken))
                taken += islice(lane, here)
                for _ in range(here):
                    lane.popleft()
                if not lane:
                    del lanes[where], self._lanes[where]
                elif here:
                    self._lanes[where] = self._lanes.pop(where)  # behind those that have had less of this batch
        self._count -= len(taken)
        self._bytes -= sum(map(len, taken))
        return taken

    def clear(self) -> None:
        self._lanes.clear()
        self._count = self._bytes = 0
