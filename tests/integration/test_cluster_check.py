"""A cluster that breaks an assumption is told apart before anything runs on it, with what to do about it."""

from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from schemas.topics import ACCOUNTS, CACHE, CONTROL, MISSES, REQUESTS, RESPONSES, TOPICS
from streams.clock import now_ms
from streams.runtime.cluster import Cluster, Problem
from streams.settings import KafkaSettings
from tests.integration.kafka_log import KafkaLog

pytestmark = pytest.mark.integration


@pytest.fixture
def log(kafka: KafkaSettings) -> Iterator[KafkaLog]:
    log = KafkaLog(kafka)
    yield log
    log.close()


def test_what_apply_makes_passes_the_check_and_apply_again_makes_nothing(kafka: KafkaSettings) -> None:
    cluster = Cluster(kafka)
    assert sorted(cluster.apply()) == sorted(kafka.topic(topic) for topic in TOPICS)
    assert cluster.check() == []
    assert cluster.apply() == []
    there = cluster.existing()
    assert (there[kafka.topic(REQUESTS)], there[kafka.topic(CONTROL)]) == (2, 1)


def test_apply_leaves_what_exists_as_it_is_and_the_check_says_what_is_wrong_with_it(
    kafka: KafkaSettings, log: KafkaLog
) -> None:
    log.create(ACCOUNTS, config={"cleanup.policy": "delete"})
    log.create(REQUESTS, config={"max.message.bytes": "1000000", "message.timestamp.type": "LogAppendTime"})
    KafkaLog(kafka.model_copy(update={"partitions": 3})).create(MISSES)

    made = Cluster(kafka).apply()

    assert len(made) == len(TOPICS) - 3
    found = {(problem.topic, problem.what): problem.todo for problem in Cluster(kafka).check()}
    misses, accounts, requests = (kafka.topic(topic) for topic in (MISSES, ACCOUNTS, REQUESTS))
    assert set(found) == {
        (misses, "has 3 partitions, 2 are needed"),
        (accounts, "has cleanup.policy=delete, compact,delete is needed"),
        (requests, "has max.message.bytes=1000000, 16777216 is needed"),
        (requests, "has message.timestamp.type=LogAppendTime, CreateTime is needed"),
    }
    assert "MILLRACE_KAFKA_PARTITIONS" in found[misses, "has 3 partitions, 2 are needed"]
    assert (
        "--add-config 'cleanup.policy=compact,delete'"
        in found[accounts, "has cleanup.policy=delete, compact,delete is needed"]
    )


def test_fewer_copies_shorter_retention_and_leaders_without_the_latest_are_told(
    kafka: KafkaSettings, log: KafkaLog
) -> None:
    log.create(RESPONSES, config={"retention.ms": "1000", "unclean.leader.election.enable": "true"})
    log.create(*(topic for topic in TOPICS if topic is not RESPONSES))
    careful = kafka.model_copy(update={"replication": 3})

    found = {problem.what for problem in Cluster(careful).check((RESPONSES,))}

    assert found == {
        "has a partition of which there are 1 copies, 3 are needed",
        "has retention.ms=1000, 604800000 is needed",
        "has unclean.leader.election.enable=true, false is needed",
    }


def test_a_request_dated_so_far_back_that_it_would_be_deleted_unread_is_refused(kafka: KafkaSettings) -> None:
    Cluster(kafka).apply()
    refusals: list[KafkaError | None] = []
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    for days_ago in (2, 8):
        dated_ms = now_ms() - days_ago * 86_400_000
        producer.produce(
            kafka.topic(REQUESTS), b"{}", timestamp=dated_ms, on_delivery=lambda error, _message: refusals.append(error)
        )
        producer.flush()
    assert [None if error is None else error.code() for error in refusals] == [None, KafkaError.INVALID_TIMESTAMP]


def test_a_topic_made_before_it_was_fenced_is_told_and_amended_by_apply(kafka: KafkaSettings, log: KafkaLog) -> None:
    log.create(*TOPICS)
    shorter = kafka.model_copy(update={"delivery_timeout_ms": 4_000})
    fenced = {kafka.topic(topic) for topic in TOPICS if topic.fenced}

    found = Cluster(shorter).check()

    assert {problem.topic for problem in found} == fenced
    assert {problem.what for problem in found} == {"has message.timestamp.before.max.ms=5000, 4000 is needed"}
    assert {problem.todo for problem in found} == {"run: millrace topics apply"}
    assert Cluster(shorter).apply() == []
    assert Cluster(shorter).check() == []


def test_a_topic_that_keeps_too_little_is_raised_by_apply_and_one_that_keeps_more_is_left(
    kafka: KafkaSettings, log: KafkaLog
) -> None:
    week_ms = 7 * 86_400_000
    log.create(CACHE, config={"retention.ms": str(week_ms)})
    log.create(RESPONSES, config={"retention.ms": "-1"})
    log.create(*(topic for topic in TOPICS if topic not in {CACHE, RESPONSES}))

    (problem,) = Cluster(kafka).check()

    assert problem.topic == kafka.topic(CACHE)
    assert problem.what == f"has retention.ms={week_ms}, {CACHE.retention_ms} is needed"
    assert problem.todo == "run: millrace topics apply"
    assert Cluster(kafka).apply() == []
    assert Cluster(kafka).check() == []
    config = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    resource = ConfigResource(ResourceType.TOPIC, kafka.topic(RESPONSES))
    assert config.describe_configs([resource])[resource].result(10)["retention.ms"].value == "-1"


def test_every_topic_that_is_missing_is_named_with_the_command_that_makes_it(
    kafka: KafkaSettings, log: KafkaLog
) -> None:
    log.create(*(topic for topic in TOPICS if topic is not RESPONSES))
    assert Cluster(kafka).check() == [Problem(kafka.topic(RESPONSES), "does not exist", "run: millrace topics apply")]
