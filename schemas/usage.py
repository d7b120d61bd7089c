"""Tokens and money of one provider call, in buckets that never overlap."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Event

Tokens = Annotated[int, Field(ge=0)]
Usd = Annotated[Decimal, Field(max_digits=18, decimal_places=9)]
UsageSource = Literal["provider", "estimated", "partial", "none"]
CostStatus = Literal["priced", "unpriced", "estimated", "unknown_billable"]


class Usage(Event):
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


class Cost(Event):
    """USD for one attempt. `total_usd` is None when nobody can know it yet: never 0 for lack of a price."""

    status: CostStatus
    input_usd: Usd | None = None
    cache_read_usd: Usd | None = None
    cache_write_usd: Usd | None = None
    output_usd: Usd | None = None
    total_usd: Usd | None = None
    list_usd: Usd | None = None
    price_version: str | None = Field(default=None, description="price table and its date, for repricing")
