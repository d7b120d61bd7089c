"""Configuration about money: what calls cost, how much may be spent, and what stops it for a while."""

from datetime import datetime
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from schemas.base import EpochMs, Model, Name, TenantId

MONEY_PATTERN = r"^\d{1,9}(\.\d{1,9})?$"
Money = Annotated[
    str, Field(pattern=MONEY_PATTERN, description="USD as text, exact: at most nine digits behind the point")
]
Share = Annotated[str, Field(pattern=r"^(0(\.\d{1,6})?|1(\.0{1,6})?)$", description="from 0 to 1, as text, exact")]
Margin = Annotated[str, Field(pattern=r"^\d{1,3}(\.\d{1,6})?$", description="0.2 charges a fifth more than the cost")]


def _as_ms(value: object) -> object:
    """A file may say a point in time as TOML does."""
    return round(value.timestamp() * 1_000) if isinstance(value, datetime) and value.tzinfo is not None else value


Since = Annotated[EpochMs, BeforeValidator(_as_ms)]


class Rates(Model):
    """USD per million tokens of each bucket, for each call, and for each second a call took. A bucket that is not
    named has the rate of the wider one: images and audio that of input or output, reasoning that of output, what is
    read from the provider's cache that of input, what is written to it for an hour that of five minutes, and that the
    one of input. Without `input` or `output`, those tokens are free: a machine of one's own is paid by the second.
    """

    input: Money | None = None
    image_input: Money | None = None
    audio_input: Money | None = None
    cache_read: Money | None = None
    cache_write_5m: Money | None = None
    cache_write_1h: Money | None = None
    output: Money | None = None
    reasoning: Money | None = None
    audio_output: Money | None = None
    request_usd: Money | None = None
    second_usd: Money | None = None

    @model_validator(mode="after")
    def _say_something(self) -> Self:
        by_token = self.input is not None and self.output is not None
        if not by_token and self.request_usd is None and self.second_usd is None:
            raise ValueError("name input and output, or request_usd, or second_usd: a price that says nothing is none")
        return self


class PricePeriod(Model):
    """From a point in time until the next period begins."""

    from_ms: Since = Field(default=0, description="UTC, milliseconds since 1970; in a file also a TOML time with zone")
    rates: Rates | None = Field(default=None, description="null: the list price")
    discount: Share = Field(default="0", description="share that the provider takes off the rates")
    margin: Margin = Field(default="0", description="share that is added to what a tenant is charged")


class Price(Model):
    """Whose calls it is for, and what they cost from when on. The most specific one wins: by tenant, then deployment,
    model, provider; of equals the first by name.
    """

    kind: Literal["price"] = "price"
    name: Name
    provider: Name | None = Field(default=None, description="a deployment's `price_as`, or its provider")
    models: tuple[Name, ...] = Field(default=(), description="the provider's names, as sent or as reported")
    deployments: tuple[Name, ...] = ()
    tenants: tuple[TenantId, ...] = ()
    periods: Annotated[tuple[PricePeriod, ...], Field(min_length=1, description="oldest first")]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if any(later.from_ms <= earlier.from_ms for earlier, later in pairwise(self.periods)):
            raise ValueError(
                "periods must begin one after the other: write the oldest first, each with its own from_ms"
            )
        return self


BudgetScope = Literal["request", "tenant", "user", "label"]
BudgetPeriod = Literal["day", "month"]


class Budget(Model):
    """How much a tenant may spend: on one request, or in a UTC day or month as a whole, for each of its users, or for
    each value of a label.
    """

    kind: Literal["budget"] = "budget"
    name: Name
    tenant: TenantId
    scope: BudgetScope = "tenant"
    label: Name | None = Field(default=None, description="which label, with scope `label`")
    period: BudgetPeriod | None = Field(default=None, description="none with scope `request`")
    usd: Money
    alert_percents: tuple[Annotated[int, Field(ge=1, le=1_000)], ...] = (80, 100)
    grace_percent: Annotated[int, Field(ge=0, le=1_000)] = Field(
        default=0, description="so much more is let through before requests are refused"
    )
    when_unpriced: Literal["refuse", "allow"] = Field(
        default="refuse", description="a request whose cost cannot be estimated: nobody knows the model's price"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len(set(self.alert_percents)) < len(self.alert_percents):
            raise ValueError("alert_percents names one twice: each is told once in a period")
        if (self.scope == "label") != (self.label is not None):
            raise ValueError("label names which label is meant: give it with scope `label`, and with no other")
        if (self.scope == "request") != (self.period is None):
            raise ValueError("period is `day` or `month`; a budget of scope `request` has none")
        return self


class Override(Model):
    """An operator's word: so much more of a budget, until then. Not part of a configuration file."""

    kind: Literal["override"] = "override"
    name: Name
    budget: Name
    subject: str = Field(default="", description="the user or label value it is for; empty: whoever the budget is for")
    usd: Money
    until_ms: EpochMs
    reason: Annotated[str, Field(min_length=1, max_length=500)]
    by: Annotated[str, Field(min_length=1, max_length=128)]
    made_at_ms: EpochMs


class SpendRate(Model):
    """When a tenant spends so fast that something must be wrong: `watch` stops it for a while. Null: never."""

    usd_per_minute: Money | None = Field(default=None, description="stop above this")
    times_norm: Annotated[int, Field(ge=2, le=1_000)] | None = Field(
        default=None, description="stop above so many times the tenant's mean minute of the last hour"
    )
    pause_s: Annotated[int, Field(ge=1, le=86_400)] = Field(default=300, description="how long a stop lasts")


class SpendStop(Model):
    """Written by `watch`, lifted by an operator; obeyed by `limit`. Not part of a configuration file."""

    kind: Literal["spend_stop"] = "spend_stop"
    name: TenantId
    usd_per_minute: Money
    threshold_usd: Money
    since_ms: EpochMs
    until_ms: EpochMs = Field(description="requests are taken again from then on; not later than since_ms: lifted")
    by: Annotated[str, Field(min_length=1, max_length=128)] = "watch"
