"""What `limit` remembers per tenant on its changelog: rate meters and the request ids it has seen."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import EpochMs, InternalEvent
from schemas.response import Failure

LimitUnit = Literal["requests", "tokens"]


class Meter(InternalEvent):
    """A GCRA meter: its theoretical arrival time says all there is to know about the recent rate."""

    kind: Literal["meter"] = "meter"
    tenant_id: str
    user_id: str | None
    unit: LimitUnit
    arrival_us: int = Field(description="theoretical arrival time, UTC, microseconds since 1970")


class Registration(InternalEvent):
    """One request id of one tenant, what was decided about it, and the tokens held for it until it is settled."""

    kind: Literal["registration"] = "registration"
    tenant_id: str
    user_id: str | None
    request_id: str
    offset: int = Field(description="of the llm.validated record that registered it: a redelivery decides the same")
    digest: str = Field(
        pattern=r"^[0-9a-f]{30,}$", description="of the request as sent, in hex; at least its first 30 digits"
    )
    seen_at_ms: EpochMs
    refusal: Failure | None = Field(default=None, description="null when it was admitted")
    reserved_tokens: int = 0
    tenant_held_until_us: int = Field(
        default=0, description="where holding the tokens moved the tenant's meter; 0 when it holds none of them"
    )
    user_held_until_us: int = Field(default=0, description="the same of the user's meter")
    settled_attempts: tuple[str, ...] = Field(default=(), description="their ids, or the last 12 characters of each")


AccountRecord = Annotated[Meter | Registration, Field(discriminator="kind")]
