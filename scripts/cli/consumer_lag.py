"""How far each consumer group is behind: the records that wait, and whether anybody is there to take them."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import cast

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import ConsumerGroupDescription

from schemas.participants import PARTS, TRAFFIC, Part
from scripts.cli.check import Check
from scripts.cli.kafka import QUIET, LiveCluster, admin
from scripts.cli.offsets import LOOKUP_TIMEOUT_S, Spans, spans
from streams.runtime.clients import reader_config

Committed = Mapping[tuple[str, int], int]
"""Next offset to be read, by topic and partition; negative where nothing was committed yet."""


@dataclass(frozen=True, slots=True)
class GroupLag:
    part: Part
    members: int
    waiting: int


def lags(cluster: LiveCluster) -> list[GroupLag]:
    """Of every stage, the sink and watch. Raises KafkaException when the brokers cannot tell."""
    read = {part: [cluster.settings.topic(each.topic) for each in TRAFFIC if part in each.readers] for part in PARTS}
    there = {name: cluster.topics[name] for names in read.values() for name in names if name in cluster.topics}
    reach = spans(cluster.settings, there)
    members = _members(cluster, [cluster.settings.group(part) for part in PARTS])
    topics = {part: {name: reach[name] for name in read[part] if name in reach} for part in PARTS}
    return [
        GroupLag(
            part,
            members.get(cluster.settings.group(part), 0),
            waiting(topics[part], committed(cluster, part, topics[part])),
        )
        for part in PARTS
    ]


def waiting(topics: Mapping[str, Spans], places: Committed) -> int:
    """Records not yet committed. A group that is new, or whose place was deleted, starts at what is left."""
    return sum(
        span.end - min(max(places.get((topic, partition), -1), span.start), span.end)
        for topic, partitions in topics.items()
        for partition, span in partitions.items()
    )


def judged(groups: Iterable[GroupLag]) -> list[Check]:
    return [Check(f"lag of {group.part}", _found(group), _todo(group)) for group in groups]


def _found(group: GroupLag) -> str:
    processes = "no process" if not group.members else "1 process" if group.members == 1 else f"{group.members} members"
    return f"{group.waiting} records wait, {processes} reading"


def _todo(group: GroupLag) -> str:
    if group.members or not group.waiting:
        return ""
    command = group.part if group.part in ("sink", "watch") else f"stage {group.part}"
    return f"start it: millrace {command}"


def _members(cluster: LiveCluster, groups: list[str]) -> dict[str, int]:
    client = admin(cluster.settings)  # held until all is answered: a client that is let go of never answers
    futures = cast(
        "dict[str, Future[ConsumerGroupDescription]]",
        client.describe_consumer_groups(groups, request_timeout=LOOKUP_TIMEOUT_S),
    )
    counts: dict[str, int] = {}
    for name, future in futures.items():
        try:
            counts[name] = len(future.result(LOOKUP_TIMEOUT_S).members)
        except KafkaException:  # a group nobody has joined yet does not exist
            counts[name] = 0
    return counts


def committed(cluster: LiveCluster, part: Part, topics: Mapping[str, Spans]) -> Committed:
    """Asked by a consumer that never joins: librdkafka's admin client crashes the process when a coordinator that has
    just come up tells it to wait.
    """
    places = [TopicPartition(name, partition) for name, partitions in topics.items() for partition in partitions]
    asking = Consumer({**reader_config(cluster.settings), **QUIET, "group.id": cluster.settings.group(part)})
    try:
        found = asking.committed(places, LOOKUP_TIMEOUT_S)
    finally:
        asking.close()
    return {(each.topic, each.partition): each.offset for each in found}
