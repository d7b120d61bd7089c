"""What `llm.cache` remembers: answers, which question is being asked right now, and what was taken back."""

from typing import Annotated

from msgspec import Meta, field

from schemas.base import EpochMs
from schemas.flow import Answer, Meaning, Saved
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
    asked_at_ms: Annotated[EpochMs, Meta(description="when its question was asked; 0 where its writer did not say")] = 0
    again: Annotated[
        bool, Meta(description="written once more because it is used, so that others make room before it")
    ] = False
    meaning: Annotated[Meaning | None, Meta(description="null unless the tenant's `semantic` was on")] = None


class FlightStarted(InternalEvent, tag_field="kind", tag="flight_started"):
    """`identity` is asking; whoever asks the same, no more urgently, waits for it, at most until `gives_up_at_ms`."""

    namespace: str
    entry: str
    identity: str
    priority: Annotated[Priority, Meta(description="the lane it is asked in")] = "normal"
    started_at_ms: EpochMs
    gives_up_at_ms: EpochMs


class FlightEnded(InternalEvent, tag_field="kind", tag="flight_ended"):
    """The request that asked ended without an answer to keep; those who waited are given the one it got, or learn why
    there was none.
    """

    namespace: str
    entry: str
    identity: str
    status: Status
    failure: Failure | None = None
    ended_at_ms: Annotated[EpochMs, Meta(description="0 where its writer did not say")] = 0
    given: Annotated[
        Fill | None, Meta(description="an answer that is not kept, and only for those who asked before it came")
    ] = None
    steps: Annotated[dict[str, str], Meta(description="what post-processing said of that answer")] = field(
        default_factory=dict[str, str]
    )


class Invalidated(InternalEvent, tag_field="kind", tag="invalidated"):
    """Answers that an operator takes back: what a tenant's questions were answered that were asked until `before_ms`,
    in one namespace or all, to one request or all. On every partition, since any may hold some.
    """

    tenant_id: str
    namespace: Annotated[str | None, Meta(description="as requests name it in `cache_namespace`; null: any")] = None
    response: Annotated[str | None, Meta(description="id of the request whose answer was kept; null: any")] = None
    before_ms: EpochMs


CacheRecord = Fill | FlightStarted | FlightEnded | Invalidated
