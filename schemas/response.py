"""The one terminal event per request on `llm.responses`."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from schemas.base import EpochMs, Event, Origin
from schemas.prompt import ToolCall
from schemas.usage import Usage, Usd

Status = Literal["ok", "rejected", "failed", "expired"]
CacheKind = Literal["none", "exact", "semantic", "coalesced", "stale"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "refusal", "unknown"]
ErrorCode = Literal[
    "invalid_request",
    "request_too_large",
    "unauthenticated",
    "unknown_tenant",
    "unknown_model",
    "rate_limited",
    "deadline_exceeded",
    "cache_miss",
    "no_route",
    "provider_rejected",
    "provider_unavailable",
    "provider_timeout",
    "internal_error",
]


class Failure(Event):
    """Why there is no answer, in a sentence that names the field and what to do."""

    code: ErrorCode
    message: str
    field: str | None = Field(default=None, description="path of the offending field, such as messages.0.role")
    retryable: bool = False
    retry_after_ms: Annotated[int, Field(ge=0)] | None = None


class Output(Event):
    content: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    parsed: JsonValue = Field(default=None, description="the content as JSON, where the request asked for JSON")
    refusal: str | None = None


class Timings(Event):
    """Milliseconds. `added_ms` is what the gateway cost: total less the time spent waiting for the provider."""

    total_ms: int
    provider_ms: int
    added_ms: int
    stages: dict[str, int] = Field(description="ms from the request's own timestamp to the end of each stage")


class Response(Event):
    """Answers `request_id` of `tenant_id`. `tenant_id` is null when the sender could not be authenticated,

    so that nobody can answer, or use up, another tenant's request id.
    """

    schema_version: Literal[1] = 1
    request_id: Annotated[str, Field(max_length=1024)]
    tenant_id: str | None
    origin: Origin = Field(description="the record this answers")
    status: Status
    error: Failure | None = None
    output: Output | None = None
    finish_reason: FinishReason | None = None
    complete: bool = Field(default=True, description="false when the provider's stream was cut")
    model: str | None = None
    provider: str | None = None
    deployment: str | None = None
    route: str | None = None
    cache: CacheKind = "none"
    usage: Usage | None = None
    cost_usd: Usd | None = Field(default=None, description="all attempts of this request; null while unknown")
    saved_usd: Usd | None = Field(default=None, description="what the cache hit would have cost")
    timings: Timings
    attempts: int = 0
    labels: dict[str, str] = Field(default_factory=dict)
    answered_at_ms: EpochMs
    config_version: int
    price_version: str | None = None
