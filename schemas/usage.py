"""Tokens and money of one provider call, in buckets that never overlap."""

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta

from schemas.wire import InternalEvent, PublishedEvent

Tokens = Annotated[int, Meta(ge=0)]
Usd = Annotated[Decimal, Meta(extra_json_schema={"format": "decimal"})]
"""At most nine digits before the point and nine behind it, as in the columns: see `check_usd`."""
UsageSource = Literal["provider", "estimated", "partial", "none"]
CostStatus = Literal["priced", "unpriced", "estimated", "unknown_billable"]

_NANODOLLAR = Decimal("1e-9")
_DIGITS = 9


def check_usd(*amounts: Decimal | None) -> None:
    """Raises ValueError for what fits into no column of money."""
    for usd in amounts:
        if usd is None or (usd.same_quantum(_NANODOLLAR) and usd.adjusted() < _DIGITS):
            continue
        exponent = usd.as_tuple().exponent
        if not isinstance(exponent, int) or exponent < -_DIGITS or usd.adjusted() >= _DIGITS:
            raise ValueError("an amount of USD has more than nine digits on one side of its point, or is no number")


class Usage(PublishedEvent):
    """Disjoint token counts: they add up to everything the provider counted, whatever its own convention is."""

    uncached_input_tokens: Tokens = 0
    cache_read_tokens: Tokens = 0
    cache_write_5m_tokens: Tokens = 0
    cache_write_1h_tokens: Tokens = 0
    image_input_tokens: Tokens = 0
    audio_input_tokens: Tokens = 0
    text_output_tokens: Tokens = 0
    reasoning_tokens: Tokens = 0
    audio_output_tokens: Tokens = 0

    @property
    def input_tokens(self) -> int:
        return (
            self.uncached_input_tokens
            + self.cache_read_tokens
            + self.cache_write_5m_tokens
            + self.cache_write_1h_tokens
            + self.image_input_tokens
            + self.audio_input_tokens
        )

    @property
    def output_tokens(self) -> int:
        return self.text_output_tokens + self.reasoning_tokens + self.audio_output_tokens

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens


class CostNews(InternalEvent):
    """Of a cost, all that those who add up read: see `CallOutline`."""

    status: CostStatus
    total_usd: Usd | None = None
    estimated_usd: Annotated[
        Usd | None, Meta(description="what it comes to if it was billed, where that is not known: part of no sum")
    ] = None

    def __post_init__(self) -> None:
        check_usd(self.total_usd, self.estimated_usd)


class Cost(CostNews, forbid_unknown_fields=True):
    """USD for one attempt. `total_usd` is None when nobody can know it yet: never 0 for lack of a price."""

    input_usd: Usd | None = None
    cache_read_usd: Usd | None = None
    cache_write_usd: Usd | None = None
    output_usd: Usd | None = None
    list_usd: Usd | None = None
    charged_usd: Annotated[Usd | None, Meta(description="what the tenant is charged, where that is not the cost")] = (
        None
    )
    price_version: Annotated[str | None, Meta(description="price table and its date, for repricing")] = None

    def __post_init__(self) -> None:
        check_usd(
            self.input_usd,
            self.cache_read_usd,
            self.cache_write_usd,
            self.output_usd,
            self.total_usd,
            self.list_usd,
            self.charged_usd,
            self.estimated_usd,
        )
