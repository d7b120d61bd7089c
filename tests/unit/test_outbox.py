"""What others act on leaves the worker only after what it follows from is safe."""

import pytest

from schemas.topics import ACCOUNTS, ADMITTED, TOPICS, Topic
from streams.runtime.cluster import wanted
from streams.runtime.envelope import Envelope
from streams.runtime.kafka import OnFailure
from streams.runtime.outbox import DeliveryFailedError, Outbox
from streams.settings import KafkaSettings
from tests.fakes.kafka.clients import FakeClients
from tests.fakes.kafka.cluster import Cluster
from tests.fakes.kafka.conditions import Steady
from tests.fakes.kafka.host import Host
from tests.fakes.kafka.log import Stored
from tests.fakes.kafka.producer import FakeProducer
from tests.fakes.kafka.timeline import Timeline
from tests.unit.examples import NOW_MS

KAFKA = KafkaSettings(partitions=2)
ACKNOWLEDGED_S = 1.0


class Clients(FakeClients):
    def __init__(self, host: Host, kafka: KafkaSettings) -> None:
        super().__init__(host, kafka)
        self.producers: list[FakeProducer] = []

    def producer(self, stage: str, on_failure: OnFailure) -> FakeProducer:
        self.producers.append(super().producer(stage, on_failure))
        return self.producers[-1]


class Bench:
    """`written` are the topics on which records came to lie, in order."""

    def __init__(self) -> None:
        self._timeline = Timeline(NOW_MS)
        self.cluster = Cluster(self._timeline, session_ms=KAFKA.session_timeout_ms)
        self.cluster.create([wanted(topic, KAFKA) for topic in TOPICS])
        self.written: list[str] = []
        self.cluster.on_append.append(self._note)
        self._clients = Clients(Host("host", self.cluster, Steady(self._timeline)), KAFKA)
        self.outbox = Outbox(self._clients, KAFKA, "limit", lambda: self._timeline.now_ms)

    @property
    def on_its_way(self) -> int:
        """Records that the client has."""
        return sum(map(len, self._clients.producers))

    def _note(self, stored: Stored) -> None:
        self.written.append(stored.topic)


def envelope(topic: Topic, partition: int = 0) -> Envelope:
    return Envelope(KAFKA.topic(topic), partition, b"key", b"{}", [])


def test_what_is_held_is_written_after_what_was_sent_is_safe_and_both_are_confirmed() -> None:
    bench = Bench()
    bench.outbox.hold([envelope(ADMITTED)])
    bench.outbox.send([envelope(ACCOUNTS)])
    assert bench.outbox.waiting == 2

    assert bench.outbox.confirm(ACKNOWLEDGED_S)

    assert bench.written == ["llm.accounts", "llm.admitted"]
    assert bench.outbox.waiting == 0


def test_what_is_held_is_not_written_while_what_was_sent_is_not_safe() -> None:
    bench = Bench()
    bench.outbox.hold([envelope(ADMITTED)])
    bench.outbox.send([envelope(ACCOUNTS)])

    bench.cluster.is_reachable = False
    assert not bench.outbox.confirm(ACKNOWLEDGED_S)
    assert bench.written == []
    assert not bench.outbox.is_clear

    bench.cluster.is_reachable = True
    assert bench.outbox.confirm(ACKNOWLEDGED_S)
    assert bench.written == ["llm.accounts", "llm.admitted"]
    assert bench.outbox.is_clear


def test_a_second_record_for_a_partition_is_not_sent_before_the_first_is_safe() -> None:
    bench = Bench()
    bench.outbox.send([envelope(ADMITTED), envelope(ADMITTED), envelope(ADMITTED, 1)])
    assert (bench.on_its_way, bench.outbox.waiting) == (2, 3)

    assert bench.outbox.confirm(ACKNOWLEDGED_S)
    assert bench.written == ["llm.admitted"] * 3

    bench.outbox.send([envelope(ADMITTED), envelope(ADMITTED)])
    assert (bench.on_its_way, bench.outbox.waiting) == (2, 2)


def test_what_is_behind_a_first_record_that_no_broker_takes_is_never_sent() -> None:
    bench = Bench()
    bench.cluster.is_reachable = False
    bench.outbox.send([envelope(ADMITTED), envelope(ADMITTED)])
    assert (bench.on_its_way, bench.outbox.waiting) == (1, 2)

    with pytest.raises(DeliveryFailedError):
        bench.outbox.confirm(2 * KAFKA.delivery_timeout_ms / 1000)
    assert (bench.on_its_way, bench.written) == (0, [])
