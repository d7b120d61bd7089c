"""From confluent-kafka's message to plain data."""

from collections.abc import Iterable
from typing import cast

from confluent_kafka import KafkaError, Message

from streams.runtime.delivery import Delivery, Headers

END_OF_PARTITION = KafkaError._PARTITION_EOF  # noqa: SLF001  # a public error code whose name has an underscore


def delivery_of(message: Message) -> Delivery:
    """Only for messages without an error: those have a topic, a partition and an offset."""
    raw = cast("Iterable[tuple[str, bytes | None]] | None", message.headers())
    headers: Headers = tuple(raw) if raw else ()
    return Delivery(
        topic=cast("str", message.topic()),
        partition=cast("int", message.partition()),
        offset=cast("int", message.offset()),
        key=message.key(),
        value=message.value(),
        headers=headers,
        timestamp_ms=message.timestamp()[1],
    )
