"""What is written about a record that could not be handled: where it was, which stage gave up, and why."""

from datetime import UTC, datetime
from importlib.metadata import version

from schemas.flow import StageName
from schemas.headers import without_credentials
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import DeadLetter

HEADER_PREFIX = "millrace-"
MAX_DETAIL_CHARS = 500
_VERSION = version("millrace").encode()


def dead_letter_headers(
    cause: Delivery, stage: StageName | str, letter: DeadLetter, now_ms: int
) -> list[tuple[str, bytes]]:
    """The original's headers without credentials, then ours. Header values are UTF-8."""
    ours = {
        "stage": stage,
        "reason": letter.reason,
        "detail": letter.detail[:MAX_DETAIL_CHARS],
        "topic": cause.topic,
        "partition": str(cause.partition),
        "offset": str(cause.offset),
        "timestamp-ms": str(cause.timestamp_ms),
        "at": datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds"),
    }
    return [
        *((name, value or b"") for name, value in without_credentials(cause.headers)),
        *((HEADER_PREFIX + name, value.encode()) for name, value in ours.items()),
        (HEADER_PREFIX + "version", _VERSION),
    ]
