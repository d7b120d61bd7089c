"""Configuration as events: `llm.control` holds the newest state of each object, keyed `kind/name`."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AnyHttpUrl, Field, TypeAdapter, model_validator

from schemas.base import EpochMs, Model, Name, PositiveInt, TenantId
from schemas.content import ContentRule, Redaction
from schemas.money import Budget, Money, Override, Price, SpendRate, SpendStop
from schemas.postprocess import PostProcess
from schemas.request import CacheMode, Priority
from schemas.routing import Features, Latency, Order

LONGEST_CACHE_TTL_S = 30 * 86_400
LONGEST_STALE_TTL_S = 3_600


class Limits(Model):
    """Null means no limit. A burst is how much may come at once before the rate is enforced."""

    requests_per_minute: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None
    tokens_per_hour: PositiveInt | None = None
    tokens_per_day: PositiveInt | None = None
    burst_requests: PositiveInt | None = Field(default=None, description="default: one minute's worth")


class Semantic(Model):
    """Answers to questions that mean the same as the one that is asked, in other words."""

    threshold: Annotated[float, Field(ge=0.8, le=1)] = Field(
        default=0.95, description="least cosine similarity; what is likely at which: docs/semantic-cache.md"
    )


class Tenant(Model):
    kind: Literal["tenant"] = "tenant"
    name: TenantId
    key_sha256: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ...] = Field(
        default=(),
        description="hashes of the keys that prove this tenant; several, so that keys can be rotated",
    )
    open: bool = Field(default=False, description="true: no key is asked for (local use)")
    enabled: bool = True
    tier: Name = "standard"
    weight: Annotated[int, Field(ge=1, le=100)] = Field(
        default=1, description="requests it may begin in one turn, where tenants wait for each other in a lane"
    )
    limits: Limits = Limits()
    user_limits: Limits = Limits()
    model_limits: dict[Name, Limits] = Field(default={}, description="by the model that is asked for")
    on_limit: Literal["reject", "defer"] = Field(
        default="reject", description="what becomes of a request over a limit; defer: it waits, in order, until it fits"
    )
    max_deferred: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=10_000, description="so many may wait; what is over a limit then is rejected"
    )
    max_deferred_mib: Annotated[int, Field(ge=1, le=65_536)] = Field(
        default=256,
        description="once those that wait have so many MiB together, what is over a limit is rejected",
    )
    defer_max_s: Annotated[int, Field(ge=1, le=43_200)] = Field(
        default=3_600, description="how long a request without deadline_ms may wait; with one, 12 hours at most"
    )
    default_max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None,
        description="for requests that name no params.max_tokens: then no answer is longer than what is held for it",
    )
    max_request_usd: Money | None = Field(
        default=None, description="a target at which a request may cost more is not asked, nor one without a price"
    )
    regions: tuple[Name, ...] = Field(
        default=(), description="where its data may go: a deployment elsewhere, or of no region, does not exist for it"
    )
    spend_rate: SpendRate = SpendRate()
    cache: CacheMode = Field(
        default="default",
        description="for requests that leave `cache` at `default`; off: this tenant's answers are never kept, whatever "
        "a request says",
    )
    cache_ttl_s: Annotated[int, Field(ge=1, le=LONGEST_CACHE_TTL_S)] = 86_400
    stale_ttl_s: Annotated[int, Field(ge=1, le=LONGEST_STALE_TTL_S)] | None = Field(
        default=None,
        description="so long after it expired an answer is given, marked `stale`, when nobody can be asked; "
        "default: never",
    )
    semantic: Semantic | None = Field(
        default=None, description="also give answers to questions that mean the same; off unless there is a table"
    )
    content_rules: tuple[ContentRule, ...] = Field(
        default=(), max_length=100, description="which prompts are not let in, and which answers not out"
    )
    redaction: Redaction | None = Field(
        default=None, description="personal data and secrets taken out of prompts and answers; default: nothing is"
    )
    daily_spend_alert_usd: Annotated[str, Field(pattern=r"^\d+(\.\d{1,9})?$")] | None = None
    postprocess: PostProcess = PostProcess()


def _without_credentials(url: AnyHttpUrl) -> AnyHttpUrl:
    if url.username or url.password:
        raise ValueError("must not hold a user or password: name a secret with key_ref")
    return url


class ProviderLimits(Model):
    """What the provider allows this key, all workers together; kept before it has to say 429. Null means no limit."""

    requests_per_minute: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None
    max_concurrency: PositiveInt | None = Field(
        default=None, description="calls at once; each worker that holds partitions has one of them at least"
    )
    burst_s: Annotated[int, Field(ge=1, le=60)] = Field(
        default=1,
        description="after a lull so many seconds' worth may come at once; the rate after it is that much lower, so "
        "that no minute has more than the limit",
    )
    tokens_counted: Literal["asked", "used"] | None = Field(
        default=None,
        description="asked: what max_tokens allows counts even if it is not used (openai's default); used: what was "
        "not used is given back (anthropic's)",
    )


class Deployment(Model):
    """One endpoint with one key. The key itself is never here: `key_ref` names a secret of the invoke stage."""

    kind: Literal["deployment"] = "deployment"
    name: Name
    provider: Literal["openai", "anthropic"] = Field(description="the protocol it speaks")
    base_url: Annotated[AnyHttpUrl, AfterValidator(_without_credentials)] | None = Field(
        default=None, description="default: the provider's own"
    )
    key_ref: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    price_as: Name | None = Field(default=None, description="provider id for prices; default: `provider`")
    models: dict[Name, str] = Field(description="our model name -> the provider's")
    features: dict[Name, Features] = Field(
        default={}, description="by our model name; a model that is not named can do everything"
    )
    region: Name | None = None
    tiers: tuple[Name, ...] = Field(default=(), description="only for tenants of these tiers; default: for all")
    max_concurrency: PositiveInt = Field(default=256, description="of one worker; of all together: limits")
    limits: ProviderLimits = ProviderLimits()


class RouteTarget(Model):
    deployment: Name
    model: Name | None = Field(default=None, description="default: the model that was asked for")
    weight: Annotated[int, Field(ge=0, le=1_000)] = Field(
        default=1, description="its share of requests where order is `weighted`; 0: only when the others have failed"
    )


def _named(targets: tuple[RouteTarget, ...]) -> tuple[RouteTarget, ...]:
    for target in targets:
        if target.model is None:
            raise ValueError(f"names no model at {target.deployment}: a judge is no model that was asked for; name it")
    return targets


class Judge(Model):
    """Another model reads question and answer, and gives a mark from 0 to 1. One that cannot be asked, or says nothing
    readable, lets the answer pass.
    """

    targets: Annotated[tuple[RouteTarget, ...], Field(min_length=1, max_length=10), AfterValidator(_named)] = Field(
        description="who is asked, in order; each once"
    )
    at_least: Annotated[float, Field(ge=0, le=1, description="an answer with a lower mark does not pass")]
    instruction: Annotated[str, Field(min_length=1, max_length=2_000)] | None = Field(
        default=None, description="what a good answer is here, in a few sentences; default: it does what was asked"
    )


def _default_timeouts() -> dict[Priority, int]:
    return {"high": 5_000, "normal": 15_000, "low": 60_000}


def _with_default_timeouts(given: dict[Priority, int]) -> dict[Priority, int]:
    return {**_default_timeouts(), **given}


class Route(Model):
    """Which requests take it, and its targets in order: the first that is healthy is asked, the others are fallbacks.

    The most specific route wins: tenant and task, tenant and model, tenant; the same by its tier; task, model; then
    the route named `default`. One that names neither task nor model holds for a model that a request names where a
    target has that very model, and then leads to those targets alone.
    """

    kind: Literal["route"] = "route"
    name: Name
    models: tuple[Name, ...] = ()
    tasks: tuple[Name, ...] = ()
    tenants: tuple[TenantId, ...] = ()
    tiers: tuple[Name, ...] = Field(default=(), description="of tenants; default: for all")
    targets: Annotated[tuple[RouteTarget, ...], Field(min_length=1)]
    order: Order = Field(
        default=("given",), description="how targets are ordered; the first counts, each next one breaks ties"
    )
    max_attempts: Annotated[int, Field(ge=1, le=10)] = 3
    timeout_ms: Annotated[dict[Priority, PositiveInt], AfterValidator(_with_default_timeouts)] = Field(
        default_factory=_default_timeouts, description="for one attempt, by priority"
    )
    on_uncertain: Literal["retry", "fail", "by_priority"] = Field(
        default="by_priority",
        description="after a call that the provider may have done and billed; by priority: low fails, others retry",
    )
    retry_ambiguous: bool | None = Field(
        default=None, description="the older name of on_uncertain: true is `retry`, false is `fail`"
    )
    when_busy: Literal["wait", "elsewhere"] = Field(
        default="wait",
        description="while a deployment's limits are used up: wait for it, or ask a target that is free sooner",
    )
    stale: bool = Field(default=True, description="false: nobody gets an expired answer, whatever the tenant allows")
    content_rules: tuple[ContentRule, ...] = Field(default=(), max_length=100, description="beside the tenant's")
    refuse_unpriced: bool = Field(default=False, description="targets whose model has no price are not asked")
    max_request_usd: Money | None = Field(
        default=None, description="a target at which a request may cost more is not asked, nor one without a price"
    )
    postprocess: PostProcess = PostProcess()
    cascade: bool = Field(
        default=False,
        description="an answer that does not pass a required check of `postprocess` leads to the next target's model",
    )
    judge: Judge | None = Field(default=None, description="reads each answer that has passed all other checks")

    @model_validator(mode="after")
    def _a_cascade_has_somewhere_to_go(self) -> Self:
        if self.cascade and len(self.targets) < 2:  # noqa: PLR2004  # a first one and a next
            raise ValueError("cascade needs a second of targets: name the next model there, or leave cascade out")
        return self

    @model_validator(mode="after")
    def _for_tenants_or_tiers(self) -> Self:
        if self.tenants and self.tiers:
            raise ValueError("names both tenants and tiers: name the tenants, or make a second route for the tiers")
        return self

    @model_validator(mode="after")
    def _says_it_once(self) -> Self:
        if self.retry_ambiguous is not None and self.on_uncertain != "by_priority":
            raise ValueError("retry_ambiguous is the older name of on_uncertain: leave it out")
        return self

    def retries_uncertain(self, priority: Priority) -> bool:
        """Nobody waits for a low one that is sent again later, so it is not worth paying twice; others are answered."""
        if self.retry_ambiguous is not None:
            return self.retry_ambiguous
        return priority != "low" if self.on_uncertain == "by_priority" else self.on_uncertain == "retry"


class Breaker(Model):
    """Written by `watch`; obeyed by `route` and `invoke`."""

    kind: Literal["breaker"] = "breaker"
    name: Name = Field(description="of the deployment")
    state: Literal["closed", "open", "half_open"]
    until_ms: EpochMs = Field(description="when an open breaker lets the first probe through")
    failure_share: float
    calls: int
    p95_ms: int
    since_ms: EpochMs


class Slowdown(Model):
    """Written by `watch` when a deployment answers 429; obeyed by every `invoke`, beside the deployment's limits."""

    kind: Literal["slowdown"] = "slowdown"
    name: Name = Field(description="of the deployment")
    requests_per_minute: PositiveInt = Field(description="of all workers together, for now")
    goal_per_minute: PositiveInt = Field(description="what it was before: reached step by step, it is over")
    cut_at_ms: EpochMs = Field(description="when it was last halved")
    until_ms: EpochMs = Field(description="not obeyed from then on: it is over, or nobody has said more")


AnyControl = Tenant | Deployment | Route | Breaker | Slowdown | Latency | Price | Budget | Override | SpendStop
ControlObject = Annotated[AnyControl, Field(discriminator="kind")]
CONTROL: TypeAdapter[AnyControl] = TypeAdapter(ControlObject)


def control_key(obj: AnyControl) -> str:
    return f"{obj.kind}/{obj.name}"
