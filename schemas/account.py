"""What `limit` remembers per tenant on its changelog: rate meters and the request ids it has seen."""

from typing import Annotated, Literal

from msgspec import Meta

from schemas.base import EpochMs
from schemas.response import Failure
from schemas.wire import InternalEvent

LimitUnit = Literal["requests", "tokens"]


class Meter(InternalEvent, tag_field="kind", tag="meter"):
    """A GCRA meter: its theoretical arrival time says all there is to know about the recent rate."""

    tenant_id: str
    user_id: str | None
    unit: LimitUnit
    arrival_us: Annotated[int, Meta(description="theoretical arrival time, UTC, microseconds since 1970")]


class Registration(InternalEvent, tag_field="kind", tag="registration"):
    """One request id of one tenant, what was decided about it, and the tokens held for it until it is settled."""

    tenant_id: str
    user_id: str | None
    request_id: str
    offset: Annotated[
        int, Meta(description="of the llm.validated record that registered it: a redelivery decides the same")
    ]
    digest: Annotated[
        str,
        Meta(pattern=r"^[0-9a-f]{30,}$", description="of the request as sent, in hex; at least its first 30 digits"),
    ]
    seen_at_ms: EpochMs
    refusal: Annotated[Failure | None, Meta(description="null when it was admitted")] = None
    reserved_tokens: int = 0
    tenant_held_until_us: Annotated[
        int, Meta(description="where holding the tokens moved the tenant's meter; 0 when it holds none of them")
    ] = 0
    user_held_until_us: Annotated[int, Meta(description="the same of the user's meter")] = 0
    settled_attempts: Annotated[tuple[str, ...], Meta(description="their ids, or the last 12 characters of each")] = ()
