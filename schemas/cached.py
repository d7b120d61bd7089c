"""What `llm.cache` remembers: answers, and which question is being asked right now."""

from typing import Annotated

from msgspec import Meta

from schemas.base import EpochMs
from schemas.flow import Answer, Saved
from schemas.request import Priority
from schemas.response import Failure, Status
from schemas.wire import InternalEvent


class Fill(InternalEvent, tag_field="kind", tag="fill"):
    """An answer that may be given again until it expires."""

    namespace: str
    entry: str
    answer: Answer
    saved: Saved
    stored_at_ms: EpochMs
    expires_at_ms: EpochMs


class FlightStarted(InternalEvent, tag_field="kind", tag="flight_started"):
    """`identity` is asking; whoever asks the same, no more urgently, waits for it, at most until `gives_up_at_ms`."""

    namespace: str
    entry: str
    identity: str
    priority: Annotated[Priority, Meta(description="the lane it is asked in")] = "normal"
    started_at_ms: EpochMs
    gives_up_at_ms: EpochMs


class FlightEnded(InternalEvent, tag_field="kind", tag="flight_ended"):
    """The request that asked ended without an answer to keep; those who waited learn why."""

    namespace: str
    entry: str
    identity: str
    status: Status
    failure: Failure | None = None
    ended_at_ms: Annotated[EpochMs, Meta(description="0 where its writer did not say")] = 0


CacheRecord = Fill | FlightStarted | FlightEnded
