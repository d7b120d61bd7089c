"""Reading back what others left ends when the partitions are gone, and its failures with it."""

import itertools
from collections.abc import Callable, Mapping

import pytest
from confluent_kafka import TopicPartition
from typing_extensions import override

from streams.invoke.others import Others
from streams.observe.metrics import Metrics
from streams.runtime.delivery import Delivery
from streams.runtime.restore import RestoreStalledError, TableReader
from streams.settings import KafkaSettings
from tests.fakes.kafka.clients import FakeClients
from tests.fakes.kafka.cluster import Cluster
from tests.fakes.kafka.conditions import Steady
from tests.fakes.kafka.host import Host
from tests.fakes.kafka.timeline import Timeline
from tests.unit.examples import NOW_MS

KAFKA = KafkaSettings()
STARTS = (TopicPartition("llm.dispatch.normal", 0, 5),)


class Deaf(TableReader):
    """Hears nothing of any partition."""

    @override
    def oldest_unfinished_ms(self, starts: object) -> dict[int, int]:
        return {}

    @override
    def read(self, topic: str, since_ms: Mapping[int, int | None], apply: Callable[[Delivery], None]) -> dict[int, int]:
        while True:
            self._poll()


class Stalls(Deaf):
    """Gives up at the very moment at which its partitions go."""

    has_stalled = False

    @override
    def read(self, topic: str, since_ms: Mapping[int, int | None], apply: Callable[[Delivery], None]) -> dict[int, int]:
        self.has_stalled = True
        raise RestoreStalledError


def others(kind: type[TableReader]) -> tuple[Others, TableReader]:
    timeline = Timeline(NOW_MS)
    clients = FakeClients(Host("me", Cluster(timeline, session_ms=6_000), Steady(timeline)), KAFKA)
    reader = kind(clients, "invoke", Metrics())
    return Others(clients, reader, KAFKA, me="me", window_ms=0, now_ms=lambda: NOW_MS), reader


@pytest.mark.asyncio
async def test_when_the_partitions_are_gone_reading_ends_though_nothing_arrives() -> None:
    looks = itertools.count()
    reading, _ = others(Deaf)

    assert await reading.relearn(STARTS, lambda: next(looks) > 5) is None


@pytest.mark.asyncio
async def test_a_reading_that_stalls_for_nobody_harms_nobody() -> None:
    reading, reader = others(Stalls)
    assert isinstance(reader, Stalls)

    assert await reading.relearn(STARTS, lambda: reader.has_stalled) is None
    with pytest.raises(RestoreStalledError):
        await reading.relearn(STARTS, lambda: False)
