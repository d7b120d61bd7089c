"""To which partitions a producer may have more than one request on its way.

Brokers take any sequence number from a producer that they know nothing of in a partition. If its first request meets a
leader that is just being replaced, and its second the new one, the second is taken and the first refused. librdkafka
trusts in the order of numbers and tells both as written (https://github.com/confluentinc/confluent-kafka-go/issues/921):
so the first is waited for. Brokers forget a producer that was silent for a day (`producer.id.expiration.ms`).
"""

FORGOTTEN_MS = 3_600_000
"""Far less than a day, even by a clock that stands still while the machine sleeps for some hours."""

Where = tuple[str, int]


class FirstRecords:
    def __init__(self) -> None:
        self._known_ms: dict[Where, int] = {}
        self._under_way: dict[Where, int] = {}

    def must_wait(self, where: Where) -> bool:
        """Whether one is on its way, and another would be one too many."""
        return where in self._under_way

    def sent(self, where: Where, now_ms: int) -> None:
        if now_ms - self._known_ms.get(where, now_ms - FORGOTTEN_MS) >= FORGOTTEN_MS:
            self._known_ms.pop(where, None)
            self._under_way[where] = now_ms
        else:
            self._known_ms[where] = now_ms

    def written(self) -> None:
        """All that was sent is safe."""
        self._known_ms |= self._under_way
        self._under_way.clear()
