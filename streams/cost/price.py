"""What a call's tokens cost, in USD, at the list prices of the day it was made. A price nobody has is None, never 0."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache

import genai_prices
from genai_prices.data import providers as bundled_providers
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, PriceContext, TieredPrices, calc_unit_price
from msgspec import Struct

from schemas.usage import Cost, Usage
from streams.cost.terms import WHOLE

_NANODOLLAR = Decimal("1e-9")
_NOTHING = Decimal("0e-9")
_PER_MILLION = 1_000_000
_PER_THOUSAND = 1_000
_MODELS = 1_024
"""Distinct (provider, model) pairs kept resolved: to look one up takes longer than all the arithmetic."""

_CONTEXT_OF_TIER: dict[str | None, PriceContext] = {
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "fast": {"service_tier": "fast"},
    "batch": {"processing": "batch"},
}
"""Any other tier (default, standard, auto, scale, none reported) is sold at the standard price."""

# Each bucket with the prices that apply to it, the most specific first. The package reaches the same by subtracting
# nested totals, at three times the CPU; the tests hold one against the other over its whole catalogue.
_INPUT = (
    ("uncached_input_tokens", ("input_mtok",)),
    ("image_input_tokens", ("input_image_mtok", "input_mtok")),
    ("audio_input_tokens", ("input_audio_mtok", "input_mtok")),
)
_CACHE_READ = (("cache_read_tokens", ("cache_read_mtok", "input_mtok")),)
_CACHE_WRITE = (
    ("cache_write_5m_tokens", ("cache_write_5m_mtok", "cache_write_mtok", "input_mtok")),
    ("cache_write_1h_tokens", ("cache_write_1h_mtok", "cache_write_mtok", "input_mtok")),
)
_OUTPUT = (
    ("text_output_tokens", ("output_mtok",)),
    ("reasoning_tokens", ("output_reasoning_mtok", "output_mtok")),
    ("audio_output_tokens", ("output_audio_mtok", "output_mtok")),
)

_Buckets = tuple[tuple[str, tuple[str, ...]], ...]
RatesByKey = Mapping[str, Decimal | TieredPrices | None]
"""USD per million tokens, by the keys of the price table. A tiered one depends on how long the whole input is."""


class NoRate(Exception):
    """Tokens were used for which the table has no price."""


@dataclass(frozen=True, slots=True)
class _Found:
    """`tiered`: the price is the provider's own. One borrowed from the model's maker says nothing of its tiers."""

    model: ModelInfo
    tiered: bool


class Components(Struct, frozen=True):
    """Already rounded, so that they add up to their total to the last digit."""

    input: Decimal
    cache_read: Decimal
    cache_write: Decimal
    output: Decimal

    @property
    def total(self) -> Decimal:
        return self.input + self.cache_read + self.cache_write + self.output


def price(
    provider_id: str, model: str, usage: Usage, at_ms: int, service_tier: str | None = None, *, share: Decimal = WHOLE
) -> Cost:
    """`at_ms` is when the call was made, UTC, ms since 1970; `service_tier` is the one the answer reports. `share` is
    what is left of the list price after a discount.

    `total_usd` is the exact sum of the components; `list_usd` what the same had cost in the standard tier, in full.
    """
    version = price_version()
    found = _find(get_snapshot().timestamp, provider_id, model)
    if found is None:
        return Cost(status="unpriced", price_version=version)
    at = datetime.fromtimestamp(at_ms / 1_000, UTC)
    context = _CONTEXT_OF_TIER.get(service_tier) if found.tiered else None
    try:
        paid = _list_components(vars(found.model.get_prices(at, context)), usage, share)
        is_listed = context is None and share is WHOLE
        listed = paid if is_listed else _list_components(vars(found.model.get_prices(at)), usage, WHOLE)
    except NoRate:
        return Cost(status="unpriced", price_version=version)
    return Cost(
        status="priced",
        input_usd=paid.input,
        cache_read_usd=paid.cache_read,
        cache_write_usd=paid.cache_write,
        output_usd=paid.output,
        total_usd=paid.total,
        list_usd=listed.total,
        price_version=version,
    )


def list_rates(provider_id: str, model: str, at_ms: int) -> RatesByKey | None:
    """Those of the standard tier in force at that time; None for a model that nobody has a price for."""
    found = _find(get_snapshot().timestamp, provider_id, model)
    return None if found is None else vars(found.model.get_prices(datetime.fromtimestamp(at_ms / 1_000, UTC)))


def price_version() -> str:
    """Package, its version, and whose prices: those it came with, or a later table by its date. For repricing."""
    snapshot = get_snapshot()
    return _version(snapshot.timestamp, bundled=snapshot.providers is bundled_providers)


@lru_cache(maxsize=4)
def _version(taken: datetime, *, bundled: bool) -> str:
    # The bundled table carries no date (its timestamp is when this process loaded it); the version pins it instead.
    return f"genai-prices/{genai_prices.__version__}/{'bundled' if bundled else taken.date().isoformat()}"


@lru_cache(maxsize=_MODELS)
def _find(taken: datetime, provider_id: str, model: str) -> _Found | None:  # noqa: ARG001 - a newer table, a new search
    """None for an unknown provider or model, and for a model that is known but has no prices."""
    try:
        provider, found = get_snapshot().find_provider_model(model, None, provider_id, None)
    except LookupError:
        return None
    return _Found(found, tiered=any(found is own for own in provider.models)) if found.prices else None


def _list_components(rates: RatesByKey, usage: Usage, share: Decimal) -> Components:
    return components(rates, usage, fee=call_fee(rates, usage.input_tokens), share=share)


def call_fee(rates: RatesByKey, total_input: int) -> Decimal:
    """USD for the call itself, whatever was said in it: few have one."""
    return calc_unit_price(rates.get("requests_kcount"), 1, total_input, _PER_THOUSAND)


def components(rates: RatesByKey, usage: Usage, *, fee: Decimal, share: Decimal) -> Components:
    """The fee is a part of the input's. Raises NoRate.

    Long prompts may have another price per token, for all of them: what counts is the whole input.
    """
    total_input = usage.input_tokens
    return Components(
        input=_round(fee + _sum(_INPUT, rates, usage, total_input), share),
        cache_read=_round(_sum(_CACHE_READ, rates, usage, total_input), share),
        cache_write=_round(_sum(_CACHE_WRITE, rates, usage, total_input), share),
        output=_round(_sum(_OUTPUT, rates, usage, total_input), share),
    )


def dearest(rates: RatesByKey, keys: tuple[str, ...], tokens: int, total_input: int) -> Decimal | None:
    """USD of so many tokens at the highest of these rates; None where the table has none of them."""
    known = [rate for key in keys if (rate := rates.get(key)) is not None]
    return max((calc_unit_price(rate, tokens, total_input, _PER_MILLION) for rate in known), default=None)


def _sum(buckets: _Buckets, rates: RatesByKey, usage: Usage, total_input: int) -> Decimal:
    total = _NOTHING
    for bucket, keys in buckets:
        tokens: int = getattr(usage, bucket)
        if tokens:
            rate = next((rate for key in keys if (rate := rates.get(key)) is not None), None)
            if rate is None:
                raise NoRate
            total += calc_unit_price(rate, tokens, total_input, _PER_MILLION)
    return total


def _round(usd: Decimal, share: Decimal) -> Decimal:
    return _NOTHING if usd is _NOTHING else rounded(usd if share is WHOLE else usd * share)


def rounded(usd: Decimal) -> Decimal:
    """To the last digit that a column of money has, half to even."""
    return usd.quantize(_NANODOLLAR, ROUND_HALF_EVEN)
