"""A Kafka record as plain data, so that decisions and tests need no client library."""

from msgspec import Struct

Headers = tuple[tuple[str, bytes | None], ...]


class Delivery(Struct, frozen=True):
    """`topic` is the full name. `timestamp_ms` is the record's own (CreateTime), UTC."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int
