"""The one terminal event per request on `llm.responses`."""

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from schemas.base import EpochMs
from schemas.usage import Usage, Usd, check_usd
from schemas.wire import Origin, PublishedEvent

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
    "budget_exceeded",
    "spend_stopped",
    "unpriced_model",
    "deadline_exceeded",
    "cache_miss",
    "no_route",
    "no_target",
    "content_blocked",
    "provider_rejected",
    "provider_unavailable",
    "provider_timeout",
    "invalid_output",
    "internal_error",
]


class Failure(PublishedEvent):
    """Why there is no answer, in a sentence that names the field and what to do."""

    code: ErrorCode
    message: str
    field: Annotated[str | None, Meta(description="path of the offending field, such as messages.0.role")] = None
    retryable: bool = False
    retry_after_ms: Annotated[int, Meta(ge=0)] | None = None


class FunctionCall(PublishedEvent):
    """Called by the model. Of the same shape as what a prompt says of an earlier answer."""

    name: str
    arguments: Annotated[str, Meta(description="JSON text, exactly as the model wrote it")]


class ToolCall(PublishedEvent):
    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class Output(PublishedEvent):
    content: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    parsed: Annotated[Any, Meta(description="the content as JSON, where the request asked for JSON")] = None
    refusal: str | None = None


class Timings(PublishedEvent):
    """Milliseconds. `added_ms` is what the gateway cost: total less the time spent waiting for the provider."""

    total_ms: int
    provider_ms: int
    added_ms: int
    stages: Annotated[dict[str, int], Meta(description="ms from the request's own timestamp to the end of each stage")]


class Response(PublishedEvent):
    """Answers `request_id` of `tenant_id`. `tenant_id` is null when the sender could not be authenticated,

    so that nobody can answer, or use up, another tenant's request id.
    """

    schema_version: Literal[1] = 1
    request_id: Annotated[str, Meta(max_length=1024)]
    tenant_id: str | None
    root_request_id: Annotated[
        str | None,
        Meta(description="the request that failed and that an operator had done again under this response's id"),
    ] = None
    origin: Annotated[Origin, Meta(description="the record this answers")]
    status: Status
    error: Failure | None = None
    output: Output | None = None
    finish_reason: FinishReason | None = None
    complete: Annotated[bool, Meta(description="false when the provider's stream was cut")] = True
    model: str | None = None
    provider: str | None = None
    deployment: str | None = None
    route: str | None = None
    route_reason: Annotated[
        str | None, Meta(description="why that route, and why there who answered, or was asked last")
    ] = None
    cache: CacheKind = "none"
    similarity: Annotated[
        float | None,
        Meta(description="of the question that was answered to the one asked, where they only mean the same"),
    ] = None
    source_request_id: Annotated[
        str | None, Meta(description="of the request that was asked, where its answer came out of the cache")
    ] = None
    usage: Usage | None = None
    cost_usd: Annotated[Usd | None, Meta(description="all attempts of this request; null while unknown")] = None
    saved_usd: Annotated[Usd | None, Meta(description="what the cache hit would have cost")] = None
    timings: Timings
    attempts: Annotated[int, Meta(description="calls, over all rounds")] = 0
    round: Annotated[int, Meta(description="how often it was asked again because of what was answered")] = 0
    steps: Annotated[dict[str, str], Meta(description="what post-processing did or noted, by the step's name")] = field(
        default_factory=dict[str, str]
    )
    labels: dict[str, str] = field(default_factory=dict[str, str])
    answered_at_ms: EpochMs
    config_version: int
    price_version: str | None = None

    def __post_init__(self) -> None:
        check_usd(self.cost_usd, self.saved_usd)
