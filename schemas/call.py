"""The row of the cost table: one per attempt, and one per request that ended without any."""

from typing import Literal

from pydantic import Field

from schemas.attempt import ErrorClass
from schemas.base import EpochMs, InternalEvent, JsonObject
from schemas.request import Priority
from schemas.response import CacheKind, ErrorCode, FinishReason, Status
from schemas.usage import Cost, CostStatus, Usage, UsageSource, Usd

Phase = Literal["started", "settled", "priced"]
PHASE_VERSION: dict[Phase, int] = {"started": 1, "settled": 2, "priced": 3}


class CallRow(InternalEvent):
    """`llm.calls`, keyed by tenant. The same attempt is written up to three times; the highest phase wins.

    `tenant_id`, `produced_at_ms`, `request_id` and `attempt_id` never change between phases: they are the row's key.
    """

    schema_version: Literal[1] = 1
    phase: Phase
    # identifiers
    request_id: str
    root_request_id: str
    attempt_id: str
    attempt_no: int = Field(ge=0, description="0 for a request that ended without an attempt")
    target_index: int = 0
    session_id: str | None = None
    trace_parent: str | None = None
    origin_topic: str
    origin_partition: int
    origin_offset: int
    provider_request_id: str | None = None
    # who and why
    tenant_id: str = Field(description="empty when the sender could not be authenticated")
    user_id: str | None = None
    feature: str = ""
    env: str = ""
    prompt_version: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    # what
    operation: Literal["chat"] = "chat"
    task: str | None = None
    model_requested: str
    model_used: str | None = None
    provider: str | None = None
    deployment: str | None = None
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
    usage: Usage = Usage()
    usage_raw: JsonObject | None = None
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
    queue_ms: int | None = Field(default=None, description="from the request's timestamp to this attempt's start")
    provider_ms: int | None = None
    total_ms: int | None = None
    stage_ms: dict[str, int] = Field(default_factory=dict)
    # outcome
    request_status: Status | None = Field(default=None, description="null while the request is still open")
    is_final: bool = Field(default=False, description="exactly one row per finished request: the one that ended it")
    error_class: ErrorClass | ErrorCode | None = None
    http_status: int | None = None
    retryable: bool = False
    finish_reason: FinishReason | None = None
    complete: bool = True
    cache: CacheKind = "none"
    similarity: float | None = None

    @property
    def cost_status(self) -> CostStatus:
        return self.cost.status
