"""What the cluster must look like for the promises to hold: made by `topics apply`, checked before a process starts."""

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from math import inf
from typing import cast

from confluent_kafka import TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from schemas.topics import REQUESTS, TOPICS, Topic
from streams.runtime.clients import admin_config
from streams.settings import KafkaSettings

ADMIN_TIMEOUT_S = 30.0
_FENCE = "message.timestamp.before.max.ms"
_COMPACTS_WITHIN = "max.compaction.lag.ms"
TIMESTAMP_AHEAD_MS = 3_600_000
"""Event time comes from producers: the broker refuses requests dated further ahead than this."""


@dataclass(frozen=True, slots=True)
class Wanted:
    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Problem:
    topic: str
    what: str
    todo: str


def wanted(topic: Topic, kafka: KafkaSettings) -> Wanted:
    config = {
        "cleanup.policy": topic.cleanup,
        "retention.ms": str(topic.retention_ms),
        "max.message.bytes": str(topic.max_message_bytes),
        "min.insync.replicas": str(kafka.min_insync),
        "message.timestamp.type": "CreateTime",
        "unclean.leader.election.enable": "false",
    }
    if topic is REQUESTS:
        config["message.timestamp.after.max.ms"] = str(TIMESTAMP_AHEAD_MS)
        # what is dated longer back than records are kept would be deleted before it is read
        config[_FENCE] = str(topic.retention_ms // 2)
    if topic.fenced:
        config[_FENCE] = str(kafka.delivery_timeout_ms)
    if topic.compacts_within_ms is not None:
        config[_COMPACTS_WITHIN] = str(topic.compacts_within_ms)
    return Wanted(
        name=kafka.topic(topic),
        partitions=kafka.partitions if topic.partitions == "all" else topic.partitions,
        replication=kafka.replication,
        config=config,
    )


class Cluster:
    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._admin = AdminClient(admin_config(kafka))

    def existing(self) -> Mapping[str, int]:
        """Partition counts by topic name. Raises KafkaException when no broker answers."""
        return {name: len(copies) for name, copies in self._copies().items()}

    def _copies(self) -> Mapping[str, list[int]]:
        """How many copies each partition has, by topic name."""
        metadata = self._admin.list_topics(timeout=ADMIN_TIMEOUT_S)
        return {
            name: [len(partition.replicas) for partition in topic.partitions.values()]
            for name, topic in metadata.topics.items()
        }

    def apply(self) -> list[str]:
        """Creates what is missing and returns its names. What exists is left alone but for what can be changed at any
        time and loses nothing; `check` tells what else differs.
        """
        there = self.existing()
        self._amend([want for topic in TOPICS if (want := wanted(topic, self._kafka)).name in there])
        missing = [want for topic in TOPICS if (want := wanted(topic, self._kafka)).name not in there]
        new = [
            NewTopic(w.name, num_partitions=w.partitions, replication_factor=w.replication, config=dict(w.config))
            for w in missing
        ]
        if new:
            created = cast("dict[str, Future[None]]", self._admin.create_topics(new, operation_timeout=ADMIN_TIMEOUT_S))
            for future in created.values():
                future.result(ADMIN_TIMEOUT_S)
            self._await_leaders(missing)
        return [want.name for want in missing]

    def _amend(self, wants: Sequence[Wanted]) -> None:
        actual = self._configs([want.name for want in wants])
        changed = [
            ConfigResource(
                ResourceType.TOPIC,
                want.name,
                incremental_configs=[
                    ConfigEntry(name, want.config[name], incremental_operation=AlterConfigOpType.SET)
                    for name in differing
                ],
            )
            for want in wants
            if (differing := _to_amend(want, actual[want.name]))
        ]
        if changed:
            altered = cast("dict[ConfigResource, Future[None]]", self._admin.incremental_alter_configs(changed))
            for future in altered.values():
                future.result(ADMIN_TIMEOUT_S)

    def _await_leaders(self, created: Sequence[Wanted]) -> None:
        """A topic exists before its partitions are led, and until then reading from it fails."""
        latest = cast("OffsetSpec", OffsetSpec.latest())
        ends = {TopicPartition(w.name, p): latest for w in created for p in range(w.partitions)}
        deadline_s = time.monotonic() + ADMIN_TIMEOUT_S
        while True:
            client = AdminClient(admin_config(self._kafka))  # a new one: a client remembers that there was no leader
            asked = cast("dict[TopicPartition, Future[object]]", client.list_offsets(ends))
            problems = [problem for future in asked.values() if (problem := future.exception(ADMIN_TIMEOUT_S))]
            if not problems:
                return
            if time.monotonic() > deadline_s:
                raise problems[0]
            time.sleep(0.05)

    def check(self, topics: Sequence[Topic] = TOPICS) -> list[Problem]:
        """Every assumption that the cluster breaks with these topics; empty when a process that uses them may start."""
        there = self._copies()
        wants = [wanted(topic, self._kafka) for topic in topics]
        problems = [problem for want in wants for problem in _partition_problems(want, there)]
        known = {want.name: want for want in wants if want.name in there}
        for name, actual in self._configs(list(known)).items():
            problems += _config_problems(known[name], actual)
        return problems

    def _configs(self, names: list[str]) -> dict[str, dict[str, str | None]]:
        if not names:
            return {}
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        answers = cast("dict[ConfigResource, Future[dict[str, ConfigEntry]]]", self._admin.describe_configs(resources))
        return {
            resource.name: {name: entry.value for name, entry in future.result(ADMIN_TIMEOUT_S).items()}
            for resource, future in answers.items()
        }


def _partition_problems(want: Wanted, there: Mapping[str, list[int]]) -> Iterator[Problem]:
    copies = there.get(want.name)
    if copies is None:
        yield Problem(want.name, "does not exist", "run: millrace topics apply")
        return
    if len(copies) != want.partitions:
        yield Problem(
            want.name,
            f"has {len(copies)} partitions, {want.partitions} are needed",
            "set MILLRACE_KAFKA_PARTITIONS to what the cluster has, the same for all topics, or recreate the topic",
        )
    if min(copies, default=want.replication) < want.replication:
        yield Problem(
            want.name,
            f"has a partition of which there are {min(copies)} copies, {want.replication} are needed",
            "give it more with kafka-reassign-partitions, or set MILLRACE_KAFKA_REPLICATION to what the cluster has",
        )


_AMENDABLE = (_FENCE, _COMPACTS_WITHIN)
_RETENTION = "retention.ms"
_AT_LEAST = ("max.message.bytes", "min.insync.replicas", _RETENTION)
_EXACTLY = ("cleanup.policy", "message.timestamp.type", "unclean.leader.election.enable", *_AMENDABLE)


def _to_amend(want: Wanted, actual: Mapping[str, str | None]) -> list[str]:
    """What is kept for longer is only ever raised: whoever keeps more had a reason."""
    differing = [name for name in _AMENDABLE if name in want.config and actual.get(name) != want.config[name]]
    is_short = _as_size(actual.get(_RETENTION) or "") < _as_size(want.config[_RETENTION])
    return [*differing, _RETENTION] if is_short else differing


def _config_problems(want: Wanted, actual: Mapping[str, str | None]) -> Iterator[Problem]:
    for name in (*_EXACTLY, *_AT_LEAST):
        if name not in want.config:
            continue
        given, needed = actual.get(name) or "", want.config[name]
        if name in _AT_LEAST:
            if _as_size(given) >= _as_size(needed):
                continue
        elif set(given.split(",")) == set(needed.split(",")):
            continue
        yield Problem(
            want.name,
            f"has {name}={given}, {needed} is needed",
            "run: millrace topics apply"
            if name in {*_AMENDABLE, _RETENTION}
            else f"kafka-configs --alter --add-config '{name}={needed}'",
        )


def _as_size(setting: str) -> float:
    """Kafka's -1 is without limit."""
    return inf if setting == "-1" else int(setting or 0)
