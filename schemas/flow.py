"""The events between the stages: a ticket that travels from the request to its answer, and what each stage adds."""

from typing import Annotated, Literal, Self

from pydantic import Field

from schemas.attempt import Attempt
from schemas.base import EpochMs, InternalEvent, Origin
from schemas.prompt import Prompt
from schemas.request import CacheMode, Priority
from schemas.response import CacheKind, Failure, FinishReason, Output, Status
from schemas.usage import Usage, Usd

StageName = Literal["validate", "limit", "cache", "route", "invoke", "postprocess"]
TargetProvider = Literal["openai", "anthropic"]


def no_stamps() -> dict[StageName, int]:
    return {}


class Ticket(InternalEvent):
    """Everything about a request except its prompt: who asks, since when, and which stages it has left."""

    request_id: Annotated[str, Field(max_length=1024)]
    tenant_id: str | None = Field(description="null when the sender could not be authenticated")
    user_id: str | None = None
    session_id: str | None = None
    model: str = ""
    task: str | None = None
    priority: Priority = "normal"
    cache: CacheMode = "default"
    stream: bool = False
    deadline_ms: EpochMs | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    origin: Origin
    produced_at_ms: EpochMs = Field(
        description="the request record's own timestamp: the event time of all that follows"
    )
    stamps: dict[StageName, EpochMs] = Field(default_factory=no_stamps, description="when each stage let it go")
    trace_parent: str | None = None
    config_version: int = Field(default=0, description="offset of the newest control record that was obeyed")

    def stamped(self, stage: StageName, now_ms: int) -> Self:
        return self.model_copy(update={"stamps": {**self.stamps, stage: now_ms}})

    @property
    def identity(self) -> str:
        """What is answered exactly once: the id within its tenant, or the very record where no tenant is proven."""
        if self.tenant_id is None:
            return f"?/{self.origin.topic}/{self.origin.partition}/{self.origin.offset}"
        return f"{self.tenant_id}/{self.request_id}"


class Accepted(InternalEvent):
    """`llm.validated`: a well-formed request of a tenant that proved who it is."""

    kind: Literal["accepted"] = "accepted"
    ticket: Ticket
    prompt: Prompt
    digest: str = Field(description="of the request as sent: tells a repeated id from a reused one")
    input_tokens: int = Field(description="estimate, for limits only; money uses what the provider reports")


class Refused(InternalEvent):
    """`llm.validated`: an unusable request of a proven tenant. It passes `limit` too: its id is used up there."""

    kind: Literal["refused"] = "refused"
    ticket: Ticket
    digest: str
    failure: Failure


Validated = Annotated[Accepted | Refused, Field(discriminator="kind")]


class Admitted(InternalEvent):
    """`llm.admitted`: within its tenant's and user's limits."""

    ticket: Ticket
    prompt: Prompt
    input_tokens: int
    namespace: str = Field(description="tenant and digest of model, system prompt, tools and parameters")


class CacheSlot(InternalEvent):
    """Where the answer of this request may be kept."""

    namespace: str = Field(description="tenant, model, system prompt, tools and parameters; decides the partition")
    entry: str = Field(description="namespace and messages: the exact question")
    expires_after_ms: int


class Miss(InternalEvent):
    """`llm.misses`: must be asked. `slot` is null when the answer must not be kept."""

    ticket: Ticket
    prompt: Prompt
    input_tokens: int
    slot: CacheSlot | None = None


class Target(InternalEvent):
    """One place the question may be put to."""

    deployment: str
    provider: TargetProvider
    model: str = Field(description="the provider's own name for the model")
    region: str | None = None
    price_as: str | None = Field(default=None, description="whose prices it has; default: `provider`'s")


class Plan(InternalEvent):
    """What `route` decided: targets in order, and how long and how often they may be tried."""

    route: str
    reason: str
    targets: Annotated[tuple[Target, ...], Field(min_length=1)]
    max_attempts: Annotated[int, Field(ge=1, le=10)]
    timeout_ms: Annotated[int, Field(ge=1)] = Field(description="for one attempt")
    retry_ambiguous: bool = True


class Dispatch(InternalEvent):
    """`llm.dispatch.{high,normal,low}`: ready to be asked."""

    ticket: Ticket
    prompt: Prompt
    input_tokens: int
    slot: CacheSlot | None = None
    plan: Plan


class HandedOver(InternalEvent):
    """`llm.handovers`: a worker whose partition went to another still calls for this request, so nobody else need."""

    identity: str = Field(description="the request's id within its tenant")
    worker: str = Field(description="who is calling")
    until_ms: EpochMs | None = Field(
        description="when its completion, or news of a further attempt, is there at the latest; null: it has stopped"
    )


class Answer(InternalEvent):
    """What came back, in our shape whoever answered."""

    output: Output
    finish_reason: FinishReason
    model: str
    provider: TargetProvider
    deployment: str
    complete: bool = True


class Saved(InternalEvent):
    """What the call behind a cached answer used and cost: this is what the hit saved."""

    request_id: str
    usage: Usage
    cost_usd: Usd | None
    similarity: float = 1.0


class Completion(InternalEvent):
    """`llm.completions`: the end of a request, however it ended. Only `postprocess` turns it into a response."""

    ticket: Ticket
    status: Status
    failure: Failure | None = None
    answer: Answer | None = None
    cache: CacheKind = "none"
    saved: Saved | None = None
    attempts: tuple[Attempt, ...] = ()
    slot: CacheSlot | None = None
    plan: Plan | None = None
    parse_json: bool = Field(default=False, description="the request asked for JSON: postprocess parses the content")
