"""What `limit` remembers per tenant on its changelog: the request ids it has seen, and where its meters stand."""

from typing import Annotated, Literal, assert_never

from msgspec import Meta, field
from msgspec.structs import replace

from schemas.base import EpochMs
from schemas.response import Failure
from schemas.usage import Usd, check_usd
from schemas.wire import InternalEvent

LimitUnit = Literal["requests", "tokens", "tokens_hour", "tokens_day"]
"""Tokens without more are those of a minute."""


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
    tokens_hour_us: Annotated[int | None, Meta(description=_ARRIVAL)] = None
    tokens_day_us: Annotated[int | None, Meta(description=_ARRIVAL)] = None

    def of(self, unit: LimitUnit) -> int | None:
        match unit:
            case "requests":
                return self.requests_us
            case "tokens":
                return self.tokens_us
            case "tokens_hour":
                return self.tokens_hour_us
            case "tokens_day":
                return self.tokens_day_us
            case _:
                assert_never(unit)

    def moved(self, unit: LimitUnit, arrival_us: int) -> "Meters":
        match unit:  # a dictionary of the field's name would take three times as long
            case "requests":
                return replace(self, requests_us=arrival_us)
            case "tokens":
                return replace(self, tokens_us=arrival_us)
            case "tokens_hour":
                return replace(self, tokens_hour_us=arrival_us)
            case "tokens_day":
                return replace(self, tokens_day_us=arrival_us)
            case _:
                assert_never(unit)


class Charged(InternalEvent):
    """An account of `llm.budgets` that a request counts on."""

    budget: str
    subject: str
    period: str


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
    held_until_us: Annotated[
        dict[str, int], Meta(description="the same of meters of an hour, a day or a model, by scope/unit")
    ] = field(default_factory=dict[str, int])
    settled_attempts: Annotated[
        tuple[str, ...],
        Meta(
            description="their ids, or the last 12 characters of each; after the row's offset and @ where money counts"
        ),
    ] = ()
    tenant_meters: Meters | None = None
    user_meters: Meters | None = None
    model: Annotated[str | None, Meta(description="where the tenant has limits for it")] = None
    model_meters: Meters | None = None
    held_usd: Annotated[
        Usd | None, Meta(description="what it may cost, held until its final row; null: no budget concerns it")
    ] = None
    closed_offset: Annotated[
        int | None,
        Meta(
            description="of its final row on llm.calls: once its accounts have counted that, nothing is held; -1: free"
        ),
    ] = None
    deferred_until_ms: Annotated[
        EpochMs | None,
        Meta(description="while it waits on llm.deferred: when it expires; nothing is charged for it yet"),
    ] = None
    deferred_tokens: Annotated[int, Meta(description="what it will ask of limits of tokens")] = 0
    deferred_bytes: Annotated[int, Meta(description="what it takes in memory while it waits")] = 0
    deferred_offset: Annotated[
        int | None,
        Meta(description="of the llm.deferred record from which it went on; taken again, that one goes on again"),
    ] = None
    charged: Annotated[
        tuple[Charged, ...], Meta(description="the accounts it counts on; of a refusal, the one that was used up")
    ] = ()


class Told(InternalEvent):
    """An alert about an account, and the record at which it was due: taken again, that one tells it again."""

    percent: int
    usd: Annotated[Usd, Meta(description="what the budget allowed then: of another amount it is told anew")]
    topic: Annotated[str, Meta(description="without the prefix")]
    offset: int

    def __post_init__(self) -> None:
        check_usd(self.usd)


class Account(InternalEvent, tag_field="kind", tag="account"):
    """`llm.budgets`: what was spent of one budget in one period, by one subject (a user, a label's value, or empty for
    the tenant as a whole). What is held is not here: it follows from the registrations that are not settled.
    """

    tenant_id: str
    budget: str
    subject: str
    period: Annotated[str, Meta(description="2026-11 or 2026-11-28, UTC")]
    spent_usd: Usd
    guessed_usd: Annotated[Usd, Meta(description="of it: estimates for calls whose cost nobody knows")]
    first_offset: Annotated[int, Meta(description="of the first row of llm.calls that was counted")]
    calls_offset: Annotated[int, Meta(description="rows of llm.calls below it are counted; a row taken again is not")]
    told: tuple[Told, ...] = ()

    def __post_init__(self) -> None:
        check_usd(self.spent_usd, self.guessed_usd)
