"""One call to a provider, as `invoke` saw it: the raw facts from which money is computed."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from schemas.base import EpochMs
from schemas.response import FinishReason
from schemas.usage import Usage, UsageSource
from schemas.wire import InternalEvent

ErrorClass = Literal[
    "rate_limited",
    "overloaded",
    "server_error",
    "timeout",
    "connection",
    "cut_stream",
    "malformed_response",
    "authentication",
    "permission",
    "not_found",
    "bad_request",
    "content_filtered",
    "interrupted",
]


class Attempt(InternalEvent):
    """Started before the call, settled after it. Started without settled may have been billed: nobody knows."""

    attempt_id: str
    attempt_no: Annotated[int, Meta(ge=1)]
    target_index: Annotated[int, Meta(ge=0, description="0 is the route's first choice")]
    deployment: str
    provider: Literal["openai", "anthropic"]
    model: Annotated[str, Meta(description="as sent to the provider")]
    region: str | None = None
    why: Annotated[
        str | None, Meta(description="its target was where it was in the plan, where an order other than given says so")
    ] = None
    started_at_ms: EpochMs
    first_token_at_ms: EpochMs | None = None
    ended_at_ms: EpochMs | None = None
    model_reported: str | None = None
    provider_request_id: str | None = None
    service_tier: str | None = None
    finish_reason: FinishReason | None = None
    usage_raw: Annotated[dict[str, Any] | None, Meta(description="the provider's usage block, untouched")] = None
    usage_source: UsageSource = "none"
    estimated_usage: Annotated[
        Usage | None, Meta(description="what it used if it was billed, where the provider has not said")
    ] = None
    error_class: ErrorClass | None = None
    error_message: Annotated[str | None, Meta(description="safe to show: names no key, prompt or address")] = None
    http_status: int | None = None
    retryable: bool = False
    ambiguous: Annotated[bool, Meta(description="the provider may have done, and billed, the work")] = False
    answering: Annotated[
        bool, Meta(description="lost, but the provider had begun to answer: the work was done, and is billed")
    ] = False
    retry_after_ms: int | None = None
    hurried: Annotated[
        bool, Meta(description="it timed out in less time than its route allows: that is not the provider's fault")
    ] = False
