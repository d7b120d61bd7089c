"""What traffic would cost: so many requests of such lengths, on these models, with such a part from the cache."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from schemas.usage import Cost, Usage

DAYS_A_MONTH = 30
_NOTHING = Decimal(0)

PriceOf = Callable[[str, str, Usage], Cost]
"""Provider, model and usage to the cost by the prices of now."""


class NoPrice(ValueError):
    """Nobody knows what a model costs, or a bucket that the traffic uses."""


@dataclass(frozen=True, slots=True)
class Portion:
    """A part of the traffic that one model answers. `share` is of all requests, from 0 to 1; `calls`, at least one,
    stand for what its requests use.
    """

    provider: str
    model: str
    share: Decimal
    calls: Sequence[Usage]


@dataclass(frozen=True, slots=True)
class Expected:
    """Of one model, USD. `request_usd` is the mean over its requests, those that the cache answers included."""

    provider: str
    model: str
    share: Decimal
    requests_a_month: Decimal
    input_usd: Decimal
    output_usd: Decimal
    request_usd: Decimal

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


def mixed(calls: Sequence[Usage], mix: Mapping[tuple[str, str], Decimal]) -> list[Portion]:
    """Every model, by provider and name, gets the same kind of requests."""
    return [Portion(provider, model, share, calls) for (provider, model), share in mix.items()]


def as_measured(calls: Sequence[tuple[str, str, Usage]]) -> list[Portion]:
    """Every model gets what it got: provider, model and usage of each call."""
    found: dict[tuple[str, str], list[Usage]] = {}
    for provider, model, used in calls:
        found.setdefault((provider, model), []).append(used)
    return [
        Portion(provider, model, Decimal(len(own)) / len(calls), own)
        for (provider, model), own in sorted(found.items())
    ]


def _expected(portion: Portion, requests: Decimal, cache_rate: Decimal, price_of: PriceOf) -> Expected:
    input_usd = output_usd = _NOTHING
    for used in portion.calls:
        cost = price_of(portion.provider, portion.model, used)
        if cost.total_usd is None or cost.output_usd is None:
            raise NoPrice(f"nobody knows what {portion.model} of {portion.provider} costs")
        input_usd += cost.total_usd - cost.output_usd
        output_usd += cost.output_usd
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
    )
