"""A period of a `price` object with its amounts as numbers, worked out once: every call of its time asks for them."""

from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct

from schemas.money import Price, PricePeriod, Rates

WHOLE = Decimal(1)
_NOTHING = Decimal(0)


class Terms(Struct, frozen=True):
    """What holds for calls from `from_ms` on, UTC, ms since 1970.

    `rates` has the price table's own keys, in USD per million tokens, a rate for each of them; None is the list price.
    `share` is what is left of it after the discount, `charged` how many times the cost the tenant is charged.
    """

    from_ms: int
    version: str
    rates: Mapping[str, Decimal] | None
    request_usd: Decimal
    second_usd: Decimal
    share: Decimal
    charged: Decimal

    def fee_usd(self, duration_ms: int) -> Decimal:
        """What a call costs whatever was said in it. Its ends are cut to milliseconds, so that it may have run for
        nearly one more: that one is paid too, and no call is cheaper than what ran.
        """
        return self.request_usd + self.second_usd * (duration_ms + 1) / 1_000 if self.second_usd else self.request_usd


def terms_of(price: Price, offset: int) -> tuple[Terms, ...]:
    """Newest first. `offset` is that of the control record that said so."""
    version = f"price/{price.name}@{offset}"
    return tuple(_terms(version, period) for period in reversed(price.periods))


def _terms(version: str, period: PricePeriod) -> Terms:
    rates = period.rates
    return Terms(
        from_ms=period.from_ms,
        version=version,
        rates=None if rates is None else _by_bucket(rates),
        request_usd=_usd(rates.request_usd if rates else None),
        second_usd=_usd(rates.second_usd if rates else None),
        share=WHOLE - Decimal(period.discount),
        charged=WHOLE + Decimal(period.margin),
    )


def _by_bucket(rates: Rates) -> dict[str, Decimal]:
    """With every fallback that Rates promises: what is not named costs what the wider bucket does."""
    written = _usd(rates.cache_write_5m, rates.input)
    return {
        "input_mtok": _usd(rates.input),
        "input_image_mtok": _usd(rates.image_input, rates.input),
        "input_audio_mtok": _usd(rates.audio_input, rates.input),
        "cache_read_mtok": _usd(rates.cache_read, rates.input),
        "cache_write_5m_mtok": written,
        "cache_write_1h_mtok": written if rates.cache_write_1h is None else _usd(rates.cache_write_1h),
        "output_mtok": _usd(rates.output),
        "output_reasoning_mtok": _usd(rates.reasoning, rates.output),
        "output_audio_mtok": _usd(rates.audio_output, rates.output),
    }


def _usd(*named: str | None) -> Decimal:
    return next((Decimal(usd) for usd in named if usd is not None), _NOTHING)
