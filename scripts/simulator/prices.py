"""What each simulated model is and what its provider charges for it, from the dated table beside this module."""

import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from scripts.simulator.usage import Usage

Provider = Literal["openai", "anthropic"]
Encoding = Literal["o200k_base", "cl100k_base"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]

_TABLE = Path(__file__).with_name("prices.toml")
_MILLION = Decimal(1_000_000)


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Prices(_Row):
    """USD per million tokens. A bucket the provider does not sell is None."""

    input: Decimal
    cache_read: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None
    output: Decimal | None = None

    def cost(self, usage: Usage) -> Decimal:
        """The exact USD for one call; ValueError when it used a bucket that has no price."""
        total = Decimal(0)
        for name, tokens in usage.counts().items():
            if tokens:
                # Providers charge thinking as output; it has a bucket of its own only in the counts.
                price = self.output if name == "reasoning" else getattr(self, name)
                if price is None:
                    raise ValueError(f"the price table has no {name} price for a call that used {tokens} tokens of it")
                total += price * tokens
        return total / _MILLION


class LongContext(_Row):
    above_input_tokens: int
    prices: Prices


class Model(_Row):
    name: str
    provider: Provider
    encoding: Encoding
    context_tokens: int
    prices: Prices
    snapshot: str | None = None
    aliases: tuple[str, ...] = ()
    default_effort: Effort | None = None
    dimensions: int | None = None
    long_context: LongContext | None = None

    @property
    def reasons(self) -> bool:
        return self.default_effort is not None

    def answers_as(self, asked: str) -> str:
        """The name in the answer: a family name is answered by its snapshot, a snapshot by itself."""
        return (self.snapshot or asked) if asked == self.name else asked

    def prices_for(self, usage: Usage) -> Prices:
        """The rate of a whole call, which is a different one above the long-context threshold."""
        if self.long_context is not None and usage.prompt > self.long_context.above_input_tokens:
            return self.long_context.prices
        return self.prices


class PriceTable(_Row):
    dated: date
    sources: dict[Provider, str]
    models: tuple[Model, ...]


class Catalog:
    """The table by every name a model answers to. A name is known to one provider only."""

    def __init__(self, table: PriceTable) -> None:
        self.table = table
        self._by_name = {
            (model.provider, name): model
            for model in table.models
            for name in (model.name, model.snapshot, *model.aliases)
            if name is not None
        }

    @classmethod
    def load(cls) -> "Catalog":
        return cls(PriceTable.model_validate(tomllib.loads(_TABLE.read_text(encoding="utf-8"))))

    def find(self, provider: Provider, name: str) -> Model | None:
        return self._by_name.get((provider, name))

    def of(self, provider: Provider) -> tuple[Model, ...]:
        return tuple(model for model in self.table.models if model.provider == provider)
