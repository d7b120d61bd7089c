"""What a service may want to know of a request before it is answered: that it waits, and for how long about."""

from typing import Annotated, Literal

from msgspec import Meta

from schemas.base import EpochMs
from schemas.request import Priority
from schemas.wire import InternalEvent

NoticeState = Literal["deferred", "admitted"]


class Notice(InternalEvent):
    """`llm.notices`. Not an answer: that comes on `llm.responses`. The same may be told twice, and what is told again
    later is newer.
    """

    schema_version: Literal[1] = 1
    request_id: str
    tenant_id: str
    priority: Priority
    state: Annotated[
        NoticeState,
        Meta(description="deferred: it waits until its tenant's limits take it; admitted: it waits no longer"),
    ]
    reason: str
    estimated_wait_ms: Annotated[int, Meta(ge=0, description="from at_ms on; 0 once it is admitted")]
    waited_ms: Annotated[int, Meta(ge=0, description="since it was first seen")] = 0
    until_ms: Annotated[EpochMs, Meta(description="when it expires unless it is admitted before")]
    at_ms: EpochMs
