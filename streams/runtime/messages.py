"""From confluent-kafka's message to plain data."""

from collections.abc import Iterable
from operator import methodcaller
from typing import cast

from confluent_kafka import KafkaError, Message

from streams.runtime.delivery import Delivery, Headers

END_OF_PARTITION = KafkaError._PARTITION_EOF  # noqa: SLF001  # a public error code whose name has an underscore


_ask_for_headers = methodcaller("headers")
"""The client then returns a value *and* leaves an error behind. A plain call, once the interpreter has optimised it,
does not look for one, and it comes up anywhere later; this way of calling always looks.
"""


def place_of(message: Message) -> tuple[str, int, int]:
    """Topic, partition and offset. Only for messages without an error: those have all three."""
    return cast("tuple[str, int, int]", (message.topic(), message.partition(), message.offset()))


def delivery_of(message: Message, *, with_headers: bool = True) -> Delivery:
    """Only for messages without an error. Headers are half the work."""
    topic, partition, offset = place_of(message)
    return Delivery(
        topic=topic,
        partition=partition,
        offset=offset,
        key=message.key(),
        value=message.value(),
        headers=_headers(message) if with_headers else (),
        timestamp_ms=message.timestamp()[1],
    )


def _headers(message: Message) -> Headers:
    """A header whose name is not UTF-8 makes the client fail on all of them: the record then counts as having none."""
    try:
        raw = cast("Iterable[tuple[str, bytes | None]] | None", _ask_for_headers(message))
    except (SystemError, UnicodeDecodeError):
        return ()
    return tuple(raw) if raw else ()
