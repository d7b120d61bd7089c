"""What the brokers say beside the records: how far topics reach, and what each group has committed."""

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, cast

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo, OffsetSpec

from schemas.participants import PARTS
from scripts.chaos.verify.snapshot import GroupPartition
from streams.runtime.clients import admin_config
from streams.settings import KafkaSettings

ASK_S = 10.0


class Cluster:
    def __init__(self, kafka: KafkaSettings, counts: Mapping[str, int]) -> None:
        self._kafka = kafka
        self._places = [TopicPartition(topic, p) for topic, count in counts.items() for p in range(count)]
        self._client = AdminClient(admin_config(kafka))

    def ends(self) -> dict[tuple[str, int], int]:
        """Raises KafkaException when the brokers cannot tell of every partition."""
        latest = cast("OffsetSpec", OffsetSpec.latest())
        futures = cast(
            "dict[TopicPartition, Future[ListOffsetsResultInfo]]",
            self._client.list_offsets(dict.fromkeys(self._places, latest), request_timeout=ASK_S),
        )
        return {(each.topic, each.partition): future.result(ASK_S + 5).offset for each, future in futures.items()}

    def committed(self) -> dict[GroupPartition, int]:
        """Next offsets to be read. A group whose coordinator is away is left out, as is what was never committed."""
        asked = {part: self._ask(part) for part in PARTS}
        found: dict[GroupPartition, int] = {}
        for part, future in asked.items():
            try:
                group = future.result(ASK_S + 5)
            except KafkaException:
                continue
            for each in cast("list[TopicPartition]", group.topic_partitions):
                if each.error is None and each.offset >= 0:
                    found[part, each.topic, each.partition] = each.offset
        return found

    def _ask(self, part: str) -> "Future[Any]":
        group = self._kafka.group(part)
        futures = cast(
            "dict[str, Future[Any]]",
            self._client.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)], request_timeout=ASK_S),
        )
        return futures[group]
