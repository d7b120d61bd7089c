"""What `limit` remembers per tenant on its changelog: the request ids it has seen, and where its meters stand."""

from typing import Annotated, Literal

from msgspec import Meta

from schemas.base import EpochMs
from schemas.response import Failure
from schemas.wire import InternalEvent

LimitUnit = Literal["requests", "tokens"]


_ARRIVAL = "theoretical arrival time, UTC, microseconds since 1970"


class Meter(InternalEvent, tag_field="kind", tag="meter"):
    """Where one meter stands. Written by older processes only: now it is said in the registration that moves it."""

    tenant_id: str
    user_id: str | None
    unit: LimitUnit
    arrival_us: Annotated[int, Meta(description=_ARRIVAL)]


class Meters(InternalEvent):
    """The GCRA meters of a tenant or of a user: a theoretical arrival time is all there is to know about the recent
    rate. Null: nothing was ever counted.
    """

    requests_us: Annotated[int | None, Meta(description=_ARRIVAL)] = None
    tokens_us: Annotated[int | None, Meta(description=_ARRIVAL)] = None

    def of(self, unit: LimitUnit) -> int | None:
        return self.requests_us if unit == "requests" else self.tokens_us

    def moved(self, unit: LimitUnit, arrival_us: int) -> "Meters":
        if unit == "requests":
            return Meters(requests_us=arrival_us, tokens_us=self.tokens_us)
        return Meters(requests_us=self.requests_us, tokens_us=arrival_us)


class Registration(InternalEvent, tag_field="kind", tag="registration"):
    """One request id of one tenant, what was decided about it, and the tokens held for it until it is settled.

    It also says where the meters stand after it. Whichever records of a tenant and a user compaction leaves, the newest
    of them tells all.
    """

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
    tenant_meters: Meters | None = None
    user_meters: Meters | None = None
