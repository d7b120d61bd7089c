"""What traffic would cost: so many requests of such lengths, on these models, with such a part from the cache."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from msgspec.structs import replace

from schemas.usage import Cost, Usage
from streams.cost.agreed import Priceable

DAYS_A_MONTH = 30
_NOTHING = Decimal(0)

Call = tuple[Priceable, Usage]
PriceOf = Callable[[Priceable, Usage], Cost]
"""By the prices of now."""


@dataclass(frozen=True, slots=True)
class Seller:
    """`deployment` is empty where it may be any that sells the model."""

    provider: str
    model: str
    deployment: str = ""


class NoPrice(ValueError):
    """Nobody knows what a model costs, or a bucket that the traffic uses."""


@dataclass(frozen=True, slots=True)
class Portion:
    """A part of the traffic that one model answers. `share` is of all requests, from 0 to 1; `calls`, at least one,
    stand for what its requests use and how long they take.
    """

    provider: str
    model: str
    share: Decimal
    calls: Sequence[Call]


@dataclass(frozen=True, slots=True)
class Expected:
    """Of one model, USD. `request_usd` is the mean over its requests, those that the cache answers included.
    `price_versions` say whose prices these are.
    """

    provider: str
    model: str
    share: Decimal
    requests_a_month: Decimal
    input_usd: Decimal
    output_usd: Decimal
    request_usd: Decimal
    price_versions: tuple[str, ...]

    @property
    def month_usd(self) -> Decimal:
        return self.input_usd + self.output_usd

    @property
    def day_usd(self) -> Decimal:
        return self.month_usd / DAYS_A_MONTH


def outlook(
    portions: Sequence[Portion], requests_a_month: Decimal, cache_rate: Decimal, price_of: PriceOf
) -> list[Expected]:
    """`cache_rate`: the share of requests that the cache answers, which cost nothing. The shares are as they are given:
    what they leave out is no part of the traffic. Raises NoPrice.
    """
    return [_expected(each, requests_a_month * each.share, cache_rate, price_of) for each in portions]


def mixed(calls: Sequence[Call], mix: Mapping[Seller, Decimal]) -> list[Portion]:
    """Every seller gets the same kind of requests, in its standard tier; they are taken to last as long as they did."""
    return [
        Portion(seller.provider, seller.model, share, [(_sold_by(seller, call), used) for call, used in calls])
        for seller, share in mix.items()
    ]


def as_measured(calls: Sequence[Call]) -> list[Portion]:
    """Every model gets what it got."""
    found: dict[tuple[str, str], list[Call]] = {}
    for call, used in calls:
        found.setdefault((call.provider, call.models[0]), []).append((call, used))
    return [
        Portion(provider, model, Decimal(len(own)) / len(calls), own)
        for (provider, model), own in sorted(found.items())
    ]


def _sold_by(seller: Seller, call: Priceable) -> Priceable:
    return replace(
        call, provider=seller.provider, models=(seller.model,), deployment=seller.deployment, service_tier=None
    )


def _expected(portion: Portion, requests: Decimal, cache_rate: Decimal, price_of: PriceOf) -> Expected:
    input_usd = output_usd = _NOTHING
    versions: set[str] = set()
    for call, used in portion.calls:
        cost = price_of(call, used)
        if cost.total_usd is None or cost.output_usd is None:
            raise NoPrice(f"nobody knows what {portion.model} of {portion.provider} costs")
        input_usd += cost.total_usd - cost.output_usd
        output_usd += cost.output_usd
        versions.add(cost.price_version or "")
    calls = requests * (1 - cache_rate)
    mean = calls / len(portion.calls)
    return Expected(
        provider=portion.provider,
        model=portion.model,
        share=portion.share,
        requests_a_month=requests,
        input_usd=input_usd * mean,
        output_usd=output_usd * mean,
        request_usd=(input_usd + output_usd) / len(portion.calls) * (1 - cache_rate),
        price_versions=tuple(sorted(versions)),
    )
