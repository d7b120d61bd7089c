"""A record of the dead-letter topic, as its headers describe it. Nothing here looks into the payload."""

from dataclasses import dataclass

from schemas.headers import without_credentials
from streams.runtime.deadletter import HEADER_PREFIX
from streams.runtime.delivery import Delivery

_FIRST = HEADER_PREFIX + "stage"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """`partition` and `offset` are its own, those of `origin_…` the place of the record it holds. Empty or None: its
    headers do not say. `is_told`: the requester has its terminal response, or will; where headers do not say, it may.
    `is_whole`: there was room for all of the record. `size`: bytes of the payload.
    """

    partition: int
    offset: int
    at: str
    stage: str
    reason: str
    detail: str
    origin_topic: str
    origin_partition: int | None
    origin_offset: int | None
    is_told: bool
    is_whole: bool
    size: int

    @property
    def place(self) -> str:
        return f"{self.partition}/{self.offset}"

    @property
    def origin(self) -> str:
        return f"{self.origin_topic}/{self.origin_partition}/{self.origin_offset}"


def dead_letter(record: Delivery) -> DeadLetter:
    """Never raises: whoever can write to the topic can write anything. What a stage says comes last, and begins with
    its name: of an older release's letters, a producer's own headers before it are not believed.
    """
    names = [name for name, _ in record.headers]
    first = len(names) - 1 - names[::-1].index(_FIRST) if _FIRST in names else len(names)
    said = {
        name.removeprefix(HEADER_PREFIX): (value or b"").decode(errors="replace")
        for name, value in record.headers[first:]
        if name.startswith(HEADER_PREFIX)
    }
    return DeadLetter(
        partition=record.partition,
        offset=record.offset,
        at=said.get("at", ""),
        stage=said.get("stage", ""),
        reason=said.get("reason", ""),
        detail=said.get("detail", ""),
        origin_topic=said.get("topic", ""),
        origin_partition=_number(said.get("partition")),
        origin_offset=_number(said.get("offset")),
        is_told=said.get("told") != "no",
        is_whole=not any(name.endswith("-omitted-bytes") for name in said),
        size=len(record.value or b""),
    )


def shown_headers(record: Delivery) -> list[tuple[str, str]]:
    """All that may be shown: no credentials, even if somebody wrote some past the stages."""
    kept = without_credentials(record.headers)
    return [(name, (value or b"").decode(errors="backslashreplace")) for name, value in kept]


def _number(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None
