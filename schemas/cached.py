"""What `llm.cache` remembers: answers, and which question is being asked right now."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import EpochMs, InternalEvent
from schemas.flow import Answer, Saved
from schemas.request import Priority
from schemas.response import Failure, Status


class Fill(InternalEvent):
    """An answer that may be given again until it expires."""

    kind: Literal["fill"] = "fill"
    namespace: str
    entry: str
    answer: Answer
    saved: Saved
    stored_at_ms: EpochMs
    expires_at_ms: EpochMs


class FlightStarted(InternalEvent):
    """`identity` is asking; whoever asks the same, no more urgently, waits for it, at most until `gives_up_at_ms`."""

    kind: Literal["flight_started"] = "flight_started"
    namespace: str
    entry: str
    identity: str
    priority: Priority = Field(default="normal", description="the lane it is asked in")
    started_at_ms: EpochMs
    gives_up_at_ms: EpochMs


class FlightEnded(InternalEvent):
    """The request that asked ended without an answer to keep; those who waited learn why."""

    kind: Literal["flight_ended"] = "flight_ended"
    namespace: str
    entry: str
    identity: str
    status: Status
    failure: Failure | None = None
    ended_at_ms: EpochMs = Field(default=0, description="0 where its writer did not say")


CacheRecord = Annotated[Fill | FlightStarted | FlightEnded, Field(discriminator="kind")]
