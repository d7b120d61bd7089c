"""The events between the stages: a ticket that travels from the request to its answer, and what each stage adds."""

from typing import Annotated, Literal, Self

from msgspec import Meta, Raw, field
from msgspec.structs import replace

from schemas.attempt import Attempt
from schemas.base import EpochMs
from schemas.content import AnswerGuard, MaybeAnswerGuard
from schemas.postprocess import AnswerRules
from schemas.request import CacheMode, Priority
from schemas.response import CacheKind, Failure, FinishReason, Output, Status
from schemas.usage import Usage, Usd, check_usd
from schemas.wire import InternalEvent, Origin

StageName = Literal["validate", "limit", "cache", "route", "invoke", "postprocess"]
TargetProvider = Literal["openai", "anthropic"]


PromptBytes = Annotated[Raw, Meta(extra_json_schema={"$ref": "#/$defs/Prompt"})]
"""A Prompt as JSON. Only `validate` and `invoke` look inside; the others hand on the bytes as they are."""


def no_stamps() -> dict[StageName, int]:
    return {}


class Ticket(InternalEvent):
    """Everything about a request except its prompt: who asks, since when, and which stages it has left."""

    request_id: Annotated[str, Meta(max_length=1024)]
    tenant_id: Annotated[str | None, Meta(description="null when the sender could not be authenticated")]
    root_request_id: Annotated[
        str | None, Meta(description="the request whose end as a dead letter this one makes good")
    ] = None
    user_id: str | None = None
    session_id: str | None = None
    model: str = ""
    task: str | None = None
    priority: Priority = "normal"
    cache: CacheMode = "default"
    stream: bool = False
    deadline_ms: EpochMs | None = None
    labels: dict[str, str] = field(default_factory=dict[str, str])
    origin: Origin
    produced_at_ms: Annotated[
        EpochMs, Meta(description="the request record's own timestamp: the event time of all that follows")
    ]
    stamps: Annotated[dict[StageName, EpochMs], Meta(description="when each stage let it go")] = field(
        default_factory=no_stamps
    )
    trace_parent: str | None = None
    redacted: Annotated[
        dict[str, str] | None,
        Meta(
            description="what was taken out of the prompt and is put back into the answer, by placeholder; never told"
        ),
    ] = None
    config_version: Annotated[int, Meta(description="offset of the newest control record that was obeyed")] = 0

    def stamped(self, stage: StageName, now_ms: int) -> Self:
        return replace(self, stamps={**self.stamps, stage: now_ms})

    @property
    def identity(self) -> str:
        """What is answered exactly once: the id within its tenant, or the very record where no tenant is proven."""
        if self.tenant_id is None:
            return f"?/{self.origin.topic}/{self.origin.partition}/{self.origin.offset}"
        return f"{self.tenant_id}/{self.request_id}"


class Needs(InternalEvent):
    """What a request asks of the model that answers it, and what that may cost."""

    max_tokens: int | None = None
    tools: bool = False
    images: bool = False
    structured_output: bool = False
    max_cost_usd: Usd | None = None


NO_NEEDS = Needs()
MaybeNeeds = Annotated[Needs | None, Meta(description="null when any model will do")]


class PromptSummary(InternalEvent):
    """What stages that do not read the prompt need to know of it. Made where it is read anyway."""

    namespace: Annotated[str, Meta(description="tenant and digest of model, system prompt, tools and parameters")]
    entry: Annotated[str, Meta(description="namespace and digest of the messages: the exact question")]
    max_tokens: int | None
    wants_json: bool
    needs: MaybeNeeds = None


Summary = Annotated[PromptSummary | None, Meta(description="null from a process that did not make one yet")]


class Accepted(InternalEvent, tag_field="kind", tag="accepted"):
    """`llm.validated`: a well-formed request of a tenant that proved who it is."""

    ticket: Ticket
    prompt: PromptBytes
    digest: Annotated[str, Meta(description="of the request as sent: tells a repeated id from a reused one")]
    input_tokens: Annotated[int, Meta(description="estimate, for limits only; money uses what the provider reports")]
    summary: Summary = None


class Refused(InternalEvent, tag_field="kind", tag="refused"):
    """`llm.validated`: an unusable request of a proven tenant. It passes `limit` too: its id is used up there."""

    ticket: Ticket
    digest: str
    failure: Failure


class Deferred(InternalEvent, tag_field="kind", tag="deferred"):
    """`llm.deferred`: over a limit of a tenant that defers. Its id is used up, nothing is charged for it yet. Several
    records of one request are one: its registration says whether it still waits, and from which record it went on.
    """

    ticket: Ticket
    prompt: PromptBytes
    digest: str
    input_tokens: int
    summary: Summary = None
    until_ms: Annotated[EpochMs, Meta(description="when it expires unless it fits before")]

    @property
    def request(self) -> Accepted:
        return Accepted(
            ticket=self.ticket,
            prompt=self.prompt,
            digest=self.digest,
            input_tokens=self.input_tokens,
            summary=self.summary,
        )


class Admitted(InternalEvent):
    """`llm.admitted`: within its tenant's and user's limits."""

    ticket: Ticket
    prompt: PromptBytes
    input_tokens: int
    namespace: Annotated[str, Meta(description="tenant and digest of model, system prompt, tools and parameters")]
    summary: Summary = None


class Meaning(InternalEvent):
    """What a question is compared by with others that may mean the same. No word of it can be read from here."""

    frame: Annotated[
        str, Meta(description="namespace, earlier turns and embedder, as a digest: only within it is compared")
    ]
    vector: Annotated[bytes, Meta(description="of unit length: 16-bit floats, the lowest byte first")]
    must: Annotated[str, Meta(description="digest of negations, numbers, names and quotes: must be the same")]
    words: Annotated[str, Meta(description="digest of the words that carry meaning, in no order")]
    order: Annotated[str, Meta(description="digest of those words in their order")]
    whose: Annotated[
        str,
        Meta(description="digest of `my`, `your` and their like; empty where there are none, which passes beside any"),
    ] = ""


class CacheSlot(InternalEvent):
    """Where the answer of this request may be kept."""

    namespace: Annotated[
        str, Meta(description="tenant, model, system prompt, tools and parameters; decides the partition")
    ]
    entry: Annotated[str, Meta(description="namespace and messages: the exact question")]
    expires_after_ms: int
    meaning: Annotated[Meaning | None, Meta(description="null unless the tenant's `semantic` is on")] = None
    refused_similarity: Annotated[
        float | None, Meta(description="of a kept answer to what looked alike and is not the same question")
    ] = None


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

    def __post_init__(self) -> None:
        check_usd(self.cost_usd)


class Stale(InternalEvent):
    """An answer to this very question that has expired, for when nobody can be asked."""

    answer: Answer
    saved: Saved
    expired_at_ms: EpochMs


class Miss(InternalEvent):
    """`llm.misses`: must be asked. `slot` is null when the answer must not be kept."""

    ticket: Ticket
    prompt: PromptBytes
    input_tokens: int
    slot: CacheSlot | None = None
    needs: MaybeNeeds = None
    stale: Annotated[Stale | None, Meta(description="where the tenant takes one")] = None


class Target(InternalEvent):
    """One place the question may be put to."""

    deployment: str
    provider: TargetProvider
    model: Annotated[str, Meta(description="the provider's own name for the model")]
    region: str | None = None
    price_as: Annotated[str | None, Meta(description="whose prices it has; default: `provider`'s")] = None
    why: Annotated[
        str | None, Meta(description="it is where it is in the plan; null: the route's own order says so")
    ] = None


class Plan(InternalEvent):
    """What `route` decided: targets in order, and how long and how often they may be tried."""

    route: str
    reason: str
    targets: Annotated[tuple[Target, ...], Meta(min_length=1)]
    max_attempts: Annotated[int, Meta(ge=1, le=10)]
    timeout_ms: Annotated[int, Meta(ge=1, description="for one attempt")]
    retry_ambiguous: bool = True
    when_busy: Literal["wait", "elsewhere"] = "wait"
    rules: Annotated[AnswerRules | None, Meta(description="of post-processing; null where there are none")] = None
    guard: MaybeAnswerGuard = None
    judge_from: Annotated[
        int | None,
        Meta(description="targets from there on are judges of answers and asked for none; null: no judge"),
    ] = None


class Round(InternalEvent):
    """What is asked again because of what was answered. A question that is asked for the first time has no Round."""

    number: Annotated[int, Meta(ge=1)]
    attempts: Annotated[tuple[Attempt, ...], Meta(description="of the rounds before; they are booked")]
    from_target: Annotated[int, Meta(ge=0, description="targets of the plan before it are not asked any more")] = 0
    re_asked: Annotated[
        int,
        Meta(ge=0, description="number of the round that tells a model what was wrong with its answer; 0: none yet"),
    ] = 0
    held: Annotated[
        Answer | None, Meta(description="did not pass; given when no round brings another, where the rules say so")
    ] = None
    held_steps: Annotated[dict[str, str], Meta(description="what post-processing said of it")] = field(
        default_factory=dict[str, str]
    )
    judged: "Annotated[Completion | None, Meta(description='whose answer a judge is asked about; not booked yet')]" = (
        None
    )


def round_name(ticket: Ticket, asked: Round | None) -> str:
    """What is called for once. Behind a sign with which no identity begins: a request id may end in anything. Two who
    answered in the same round are both judged: what either was paid is booked only with its verdict.
    """
    if asked is None:
        return ticket.identity
    if asked.judged is None:
        return f"#{asked.number}/{ticket.identity}"
    answered = "".join(attempt.attempt_id for attempt in asked.judged.attempts[-1:])
    return f"#{asked.number}~{answered}/{ticket.identity}"


def is_judging(asked: Round | None) -> bool:
    return asked is not None and asked.judged is not None


def asked_in(plan: Plan, asked: Round | None) -> range:
    """Which of the plan's targets a round may be put to: judges stand behind all others."""
    end = len(plan.targets) if plan.judge_from is None else plan.judge_from
    if asked is None:
        return range(end)
    return range(asked.from_target, end) if asked.judged is None else range(end, len(plan.targets))


class Dispatch(InternalEvent):
    """`llm.dispatch.{high,normal,low}`: ready to be asked."""

    ticket: Ticket
    prompt: PromptBytes
    input_tokens: int
    slot: CacheSlot | None = None
    plan: Plan
    round: Round | None = None
    stale: Annotated[Stale | None, Meta(description="where tenant and route allow one")] = None

    @property
    def round_name(self) -> str:
        return round_name(self.ticket, self.round)


class HandedOver(InternalEvent):
    """`llm.handovers`: a worker whose partition went to another still calls for this request, so nobody else need."""

    identity: Annotated[str, Meta(description="name of the round: the request's id within its tenant for the first")]
    worker: Annotated[str, Meta(description="who is calling")]
    until_ms: Annotated[
        EpochMs | None,
        Meta(
            description="when its completion, or a further attempt's news, is there at the latest; null: it has stopped"
        ),
    ]


class Again(InternalEvent):
    """All that a further round needs and nothing else has. Only where one may follow, since a prompt may be long."""

    prompt: PromptBytes
    input_tokens: int


class Completion(InternalEvent):
    """`llm.completions`: the end of a request, or of one of its rounds, however it ended. Only `postprocess` turns it
    into a response. `attempts` are those of its own round.
    """

    ticket: Ticket
    status: Status
    failure: Failure | None = None
    answer: Answer | None = None
    cache: CacheKind = "none"
    saved: Saved | None = None
    attempts: tuple[Attempt, ...] = ()
    slot: CacheSlot | None = None
    plan: Plan | None = None
    parse_json: Annotated[bool, Meta(description="the request asked for JSON: postprocess parses the content")] = False
    json_schema: Annotated[
        str | None, Meta(description="what the JSON must keep to, where the plan has it checked")
    ] = None
    round: Round | None = None
    again: Again | None = None
    steps: Annotated[
        dict[str, str], Meta(description="what post-processing said of an answer when another request was given it")
    ] = field(default_factory=dict[str, str])
    own_guard: Annotated[MaybeAnswerGuard, Meta(description="of what has no plan: an answer out of the cache")] = None

    @property
    def round_name(self) -> str:
        return round_name(self.ticket, self.round)

    @property
    def guard(self) -> AnswerGuard | None:
        return self.own_guard if self.plan is None else self.plan.guard

    @property
    def all_attempts(self) -> tuple[Attempt, ...]:
        """Of all rounds so far."""
        return self.attempts if self.round is None else (*self.round.attempts, *self.attempts)
