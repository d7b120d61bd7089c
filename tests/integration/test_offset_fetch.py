"""A coordinator that cannot tell yet what was committed last is waited for: on two brokers, of which one is frozen."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.topics import DISPATCH
from scripts.stack.broker import Cluster, start_cluster
from streams.invoke.clients import consumer_options
from streams.runtime.offset_fetch import tell_the_truth_of_offsets
from streams.settings import KafkaSettings
from tests.integration.kafka_log import WITHIN_S, KafkaLog

pytestmark = pytest.mark.integration
COMMIT_TIMEOUT_S = 1.0


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Cluster]:
    properties = {
        "offsets.topic.replication.factor": "2",
        "offsets.topic.num.partitions": "1",
        "offsets.commit.timeout.ms": str(int(COMMIT_TIMEOUT_S * 1000)),
        "min.insync.replicas": "2",
    }
    with start_cluster(tmp_path, brokers=2, properties=properties) as cluster:
        yield cluster


def as_it_is(_consumer: AIOKafkaConsumer) -> None:
    """Aiokafka alone."""


@asynccontextmanager
async def member(kafka: KafkaSettings, prepare: Callable[[AIOKafkaConsumer], None]) -> AsyncGenerator[AIOKafkaConsumer]:
    """In no group until it subscribes; it may ask for what its group has committed all the same."""
    consumer = AIOKafkaConsumer(**consumer_options(kafka, "invoke"))
    await consumer.start()
    try:
        prepare(consumer)
        yield consumer
    finally:
        await consumer.stop()


@pytest.mark.asyncio
async def test_what_has_no_copies_yet_is_waited_for_where_aiokafka_alone_is_told_what_was_committed_before(
    pair: Cluster,
) -> None:
    kafka = KafkaSettings(bootstrap_servers=pair.bootstrap_servers, partitions=1, replication=2, min_insync=2)
    log = KafkaLog(kafka)
    log.create(DISPATCH["normal"])
    where = TopicPartition(kafka.topic(DISPATCH["normal"]), 0)

    async with (
        asyncio.timeout(3 * WITHIN_S),
        member(kafka, as_it_is) as owner,
        member(kafka, as_it_is) as naive,
        member(kafka, tell_the_truth_of_offsets) as careful,
    ):
        owner.subscribe([where.topic])
        while not owner.assignment():
            await cast("Any", owner).getmany(timeout_ms=100)
        await owner.commit({where: 40})
        assert await naive.committed(where) == await careful.committed(where) == 40
        (follower,) = [node for node in pair.brokers if node.id != cast("Any", owner)._coordinator.coordinator_id]

        follower.pause()
        asked = asyncio.create_task(owner.commit({where: 55}))
        await asyncio.wait([asked], timeout=2 * COMMIT_TIMEOUT_S)  # by then it is written, and was not acknowledged
        assert await naive.committed(where) == 40
        told = asyncio.create_task(cast("Any", careful).committed(where))
        await asyncio.wait([told], timeout=2 * COMMIT_TIMEOUT_S)
        assert not told.done()
        assert not asked.done()

        follower.resume()
        assert await told == 55
        await asked
