"""What is written about a record that could not be handled: where it was, which stage gave up, and why."""

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version

from msgspec.structs import replace

from schemas.flow import StageName
from schemas.headers import without_credentials
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import DeadLetter

HEADER_PREFIX = "millrace-"
"""Names of what we say. A producer's own headers of such a name are left out: nobody could tell them from ours."""
REDRIVEN_FROM = "millrace-redriven-from"
"""On a record that was a dead letter: its partition/offset among them."""
MAX_DETAIL_CHARS = 500
KEPT_BYTES = 17 * 1024 * 1024
"""Below the topic's limit, which is for packed batches as all of Kafka's are: a record that is a few kilobytes on its
topic can be any size when it is unpacked, and pack worse the second time.
"""
KEPT_HEADER_BYTES = 1024 * 1024
_VERSION = version("millrace").encode()


def is_ours(name: str) -> bool:
    return name.strip().lower().startswith(HEADER_PREFIX)


def kept(cause: Delivery) -> Delivery:
    """As much of the record as its dead letter has room for: all of it, or less of headers, value and key."""
    if sum(len(name) + len(value or b"") for name, value in cause.headers) > KEPT_HEADER_BYTES:
        cause = replace(cause, headers=())
    if len(cause.key or b"") > KEPT_HEADER_BYTES:
        cause = replace(cause, key=None)
    if len(cause.value or b"") > KEPT_BYTES:
        cause = replace(cause, value=None)
    return cause


def dead_letter_headers(
    cause: Delivery, stage: StageName | str, letter: DeadLetter, now_ms: int
) -> list[tuple[str, bytes]]:
    """The original's headers without credentials and without any of our names, then ours. Header values are UTF-8."""
    room = kept(cause)
    ours = {
        "stage": stage,
        "reason": letter.reason,
        "detail": letter.detail[:MAX_DETAIL_CHARS],
        "told": "yes" if letter.is_told else "no",
        "topic": cause.topic,
        "partition": str(cause.partition),
        "offset": str(cause.offset),
        "timestamp-ms": str(cause.timestamp_ms),
        "at": datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds"),
    }
    return [
        *((name, value or b"") for name, value in without_credentials(room.headers) if not is_ours(name)),
        *((HEADER_PREFIX + name, value.encode()) for name, value in ours.items()),
        *((f"{HEADER_PREFIX}{part}-omitted-bytes", size) for part, size in _omitted(cause, room)),
        (HEADER_PREFIX + "version", _VERSION),
    ]


def _omitted(cause: Delivery, room: Delivery) -> Iterator[tuple[str, bytes]]:
    """What is only where the record came from, for as long as it is kept there."""
    if room.value is not cause.value:
        yield "value", str(len(cause.value or b"")).encode()
    if room.key is not cause.key:
        yield "key", str(len(cause.key or b"")).encode()
    if room.headers is not cause.headers:
        yield "headers", str(sum(len(name) + len(value or b"") for name, value in cause.headers)).encode()
