"""The row of the cost table: one per attempt, and one per request that ended without any."""

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from schemas.attempt import ErrorClass
from schemas.base import EpochMs
from schemas.request import Priority
from schemas.response import CacheKind, ErrorCode, FinishReason, Status
from schemas.usage import Cost, CostNews, CostStatus, Usage, UsageSource, Usd, check_usd
from schemas.wire import InternalEvent

Phase = Literal["started", "settled", "priced"]
PHASE_VERSION: dict[Phase, int] = {"started": 1, "settled": 2, "priced": 3}


class CallOutline(InternalEvent):
    """Of a row, all that `limit` reads: to pass over the rest takes half the time of taking it in."""

    phase: Phase
    request_id: str
    attempt_id: str
    tenant_id: Annotated[str, Meta(description="empty when the sender could not be authenticated")]
    usage: Usage = Usage()
    cost: CostNews
    is_final: bool = False


class CallRow(CallOutline):
    """`llm.calls`, keyed by tenant. The same attempt is written up to three times; the highest phase wins.

    `tenant_id`, `produced_at_ms`, `request_id` and `attempt_id` never change between phases: they are the row's key.
    """

    schema_version: Literal[1] = 1
    # identifiers
    root_request_id: str
    attempt_no: Annotated[int, Meta(ge=0, description="0 for a request that ended without an attempt")]
    target_index: int = 0
    session_id: str | None = None
    trace_parent: str | None = None
    origin_topic: str
    origin_partition: int
    origin_offset: int
    provider_request_id: str | None = None
    # who and why
    user_id: str | None = None
    feature: str = ""
    env: str = ""
    prompt_version: str = ""
    labels: dict[str, str] = field(default_factory=dict[str, str])
    # what
    operation: Literal["chat"] = "chat"
    task: str | None = None
    model_requested: str
    model_used: str | None = None
    model_sent: Annotated[str | None, Meta(description="the name the provider was sent; null on older rows")] = None
    provider: str | None = None
    deployment: str | None = None
    price_as: Annotated[str | None, Meta(description="whose prices it was booked by; null on older rows")] = None
    region: str | None = None
    route: str | None = None
    route_reason: str | None = None
    priority: Priority
    stream: bool = False
    service_tier: str | None = None
    is_shadow: bool = False
    is_replay: bool = False
    config_version: int
    # usage and money
    usage_raw: dict[str, Any] | None = None
    usage_source: UsageSource = "none"
    cost: Cost
    saved_usd: Usd | None = None
    # times
    produced_at_ms: EpochMs
    admitted_at_ms: EpochMs | None = None
    dispatched_at_ms: EpochMs | None = None
    started_at_ms: EpochMs | None = None
    first_token_at_ms: EpochMs | None = None
    completed_at_ms: EpochMs | None = None
    published_at_ms: EpochMs | None = None
    queue_ms: Annotated[int | None, Meta(description="from the request's timestamp to this attempt's start")] = None
    provider_ms: int | None = None
    total_ms: int | None = None
    stage_ms: dict[str, int] = field(default_factory=dict[str, int])
    # post-processing of what this attempt answered
    round: Annotated[int, Meta(ge=0, description="how often it had been asked again because of an answer")] = 0
    steps: Annotated[dict[str, str], Meta(description="what each step did or noted, where it did")] = field(
        default_factory=dict[str, str]
    )
    step_us: Annotated[dict[str, int], Meta(description="microseconds that each step took")] = field(
        default_factory=dict[str, int]
    )
    # outcome
    request_status: Annotated[Status | None, Meta(description="null while the request is still open")] = None
    is_final: Annotated[bool, Meta(description="exactly one row per finished request: the one that ended it")] = False
    error_class: ErrorClass | ErrorCode | None = None
    http_status: int | None = None
    retryable: bool = False
    hurried: Annotated[bool, Meta(description="it timed out in less time than its route allows")] = False
    finish_reason: FinishReason | None = None
    complete: bool = True
    cache: CacheKind = "none"
    similarity: float | None = None

    def __post_init__(self) -> None:
        check_usd(self.saved_usd)

    @property
    def cost_status(self) -> CostStatus:
        return self.cost.status


class CallNews(InternalEvent):
    """Of a row, all that `watch` reads: see `CallOutline`."""

    phase: Phase
    attempt_id: str
    tenant_id: str
    model_requested: str
    model_used: str | None = None
    provider: str | None = None
    deployment: str | None = None
    cost: CostNews
    started_at_ms: EpochMs | None = None
    provider_ms: int | None = None
    request_status: Status | None = None
    is_final: bool = False
    error_class: ErrorClass | ErrorCode | None = None
    hurried: bool = False
