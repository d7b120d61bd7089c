"""What aiokafka fetched, in the runtime's own terms."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from aiokafka import ConsumerRecord, TopicPartition

from streams.runtime.delivery import Delivery, Headers

Fetched = Mapping[TopicPartition, Sequence[ConsumerRecord[Any, Any]]]


def delivery_of(record: ConsumerRecord[Any, Any]) -> Delivery:
    return Delivery(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=record.value,
        headers=cast("Headers", tuple(record.headers)),
        timestamp_ms=record.timestamp,
    )
