"""That the verifier learns how far topics reach, and what was committed, though the brokers change places."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from schemas.topics import REQUESTS
from scripts.chaos.verify.cluster import Cluster
from scripts.chaos.verify.follower import Follower, partitions
from scripts.stack.broker import Cluster as Brokers
from scripts.stack.broker import start_cluster
from scripts.stack.readiness import holds_within
from streams.runtime.clients import producer_config, reader_config
from streams.runtime.cluster import Cluster as Topics
from streams.settings import KafkaSettings
from tests.integration.kafka_log import KafkaLog

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

WITHIN_S = 60.0
REQUESTS_TOPIC = "llm.requests"


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[Brokers]:
    with start_cluster(tmp_path, brokers=3) as running:
        yield running


def test_ends_and_offsets_are_told_again_after_every_broker_was_replaced(brokers: Brokers) -> None:
    kafka = KafkaSettings(bootstrap_servers=brokers.bootstrap_servers, partitions=3, replication=3, min_insync=2)
    Topics(kafka).apply()
    counts = partitions(kafka, lambda _s: None)
    cluster, follower = Cluster(kafka, counts), Follower(kafka, counts)
    try:
        for count, broker in enumerate(brokers.brokers, 1):
            publish_and_commit(kafka, count)
            broker.kill()
            broker.start()
            assert holds_within(WITHIN_S, lambda: reaches(cluster, follower, count)), count  # noqa: B023  # called at once
    finally:
        cluster.close()
        follower.close()


def reaches(cluster: Cluster, follower: Follower, count: int) -> bool:
    """Also of partitions that nothing was written to since their leaders moved."""
    follower.poll(0)
    try:
        ends = cluster.ends()
    except KafkaException:
        return False
    is_read = follower.has_passed(ends.items())
    had = cluster.committed().offsets.get(("validate", REQUESTS_TOPIC, 0))
    return (ends[REQUESTS_TOPIC, 0], had) == (count, count) and is_read


def publish_and_commit(kafka: KafkaSettings, count: int) -> None:
    producer = Producer(producer_config(kafka, "test"))
    producer.produce(kafka.topic(REQUESTS), b"{}", partition=0)
    assert producer.flush(WITHIN_S) == 0
    member = Consumer({**reader_config(kafka), "group.id": kafka.group("validate")})
    member.commit(offsets=[TopicPartition(REQUESTS_TOPIC, 0, count)], asynchronous=False)
    member.close()


def test_a_reader_that_is_begun_again_goes_on_where_it_was(kafka: KafkaSettings) -> None:
    log = KafkaLog(kafka)
    log.create(REQUESTS)
    topic = kafka.topic(REQUESTS)
    follower = Follower(kafka, {topic: kafka.partitions})
    found: list[tuple[int, bytes | None]] = []

    def read(count: int) -> bool:
        found.extend((each.offset, each.value) for each in follower.poll(0.1))
        return len(found) >= count

    try:
        write(kafka, topic, b"0", b"1")
        assert holds_within(WITHIN_S, lambda: read(2))
        follower.begin_again()
        write(kafka, topic, b"2")
        assert holds_within(WITHIN_S, lambda: read(3))
        assert found == [(0, b"0"), (1, b"1"), (2, b"2")]
        assert follower.has_passed([((topic, 0), 3)])
    finally:
        follower.close()
        log.close()


def write(kafka: KafkaSettings, topic: str, *values: bytes) -> None:
    producer = Producer(producer_config(kafka, "test"))
    for value in values:
        producer.produce(topic, value, partition=0)
    assert producer.flush(WITHIN_S) == 0
