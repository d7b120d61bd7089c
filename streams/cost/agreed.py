"""What a call costs, all told: by the `price` object that holds for it, or by the list. The one entry for everybody.

Depends on the configuration and on the time of the call alone: who asks later, with the same configuration, is told
the same.
"""

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal

from msgspec import Struct
from msgspec.structs import replace

from schemas.flow import Target, TargetProvider
from schemas.money import Price
from schemas.usage import Cost, Usage
from streams.control import ControlView, Priced, Sold
from streams.cost.price import RatesByKey, call_fee, components, dearest, list_rates, price, price_version, rounded
from streams.cost.terms import WHOLE, Terms, terms_of

MOST_REMEMBERED = 4_096
"""Models are the providers' words: without an end to them the memory had none either."""

_NANODOLLAR = Decimal("1e-9")
_DIGITS = 9
_LONGEST_S = 60
"""How long a call paid by the second is taken to last before it is made: the longest of a route's default timeouts."""

_INPUT_KEYS: dict[TargetProvider, tuple[str, ...]] = {
    # Newer models of OpenAI's keep long prompts unasked, and take more for it; Anthropic's keep what they are told to.
    "openai": ("input_mtok", "input_image_mtok", "cache_write_5m_mtok", "cache_write_mtok"),
    "anthropic": ("input_mtok", "input_image_mtok"),
}
_OUTPUT_KEYS = ("output_mtok", "output_reasoning_mtok")


class Priceable(Struct, frozen=True):
    """A call, as far as its price depends on it.

    `provider` is whose prices it has: the target's `price_as`, or else the protocol's name. `models` are its names, the
    one that was reported before the one that was sent: a snapshot's name may be newer than any price. `at_ms` is when
    it was started, UTC, ms since 1970.
    """

    tenant_id: str
    deployment: str
    provider: str
    models: tuple[str, ...]
    at_ms: int
    duration_ms: int = 0
    service_tier: str | None = None


def cost_of(control: ControlView, call: Priceable, used: Usage) -> Cost:
    """The components add up to the total to the last digit. `list_usd` is the standard tier's list price, where there
    is one; `charged_usd` is said where it is not the total.
    """
    terms = _in_force(control, call.tenant_id, call.deployment, call.provider, call.models, call.at_ms)
    if terms is None:
        return _listed(call, used)
    version = f"{terms.version}+{price_version()}"
    cost = _listed(call, used, terms.share)
    if terms.rates is not None:
        cost = _by_rates(terms, terms.rates, call, used, cost.list_usd)
    total = cost.total_usd
    charged = None if total is None or terms.charged == WHOLE else rounded(total * terms.charged)
    if charged is not None and charged.adjusted() >= _DIGITS:  # no column holds it; what is owed is known all the same
        charged = None
    return replace(cost, charged_usd=None if charged == total else charged, price_version=version)


def _by_rates(terms: Terms, rates: RatesByKey, call: Priceable, used: Usage, list_usd: Decimal | None) -> Cost:
    paid = components(rates, used, fee=terms.fee_usd(call.duration_ms), share=terms.share)
    if paid.total.adjusted() >= _DIGITS:  # somebody wrote some zeros too many: no column holds it
        return Cost(status="unpriced")
    return Cost(
        status="priced",
        input_usd=paid.input,
        cache_read_usd=paid.cache_read,
        cache_write_usd=paid.cache_write,
        output_usd=paid.output,
        total_usd=paid.total,
        list_usd=list_usd,
    )


def estimated_usd(
    control: ControlView, tenant_id: str, target: Target, input_tokens: int, output_tokens: int, at_ms: int
) -> Decimal | None:
    """The dearest that a request may plausibly come to at this target, before it is made: nothing of it read from the
    provider's cache, each token at the dearest rate of its side (a prompt is text and images), in the standard tier.
    Rounded up. None where nobody knows the price.
    """
    provider = target.price_as or target.provider
    terms = _in_force(control, tenant_id, target.deployment, provider, (target.model,), at_ms)
    rates: RatesByKey | None
    if terms is None or terms.rates is None:
        rates = list_rates(provider, target.model, at_ms)
        fee = None if rates is None else call_fee(rates, input_tokens)
    else:
        rates, fee = terms.rates, terms.fee_usd(_LONGEST_S * 1_000)
    if rates is None or fee is None:
        return None
    asked = dearest(rates, _INPUT_KEYS[target.provider], input_tokens, input_tokens)
    answered = dearest(rates, _OUTPUT_KEYS, output_tokens, input_tokens)
    if asked is None or (answered is None and output_tokens):
        return None
    usd = fee + asked + (answered or 0)
    return (usd if terms is None else usd * terms.share).quantize(_NANODOLLAR, ROUND_CEILING)


def has_price(control: ControlView, tenant_id: str, target: Target, at_ms: int) -> bool:
    """Whether a call to it, made at that time, would have a cost: by a price of our own or by the list."""
    return estimated_usd(control, tenant_id, target, 1, 1, at_ms) is not None


def _listed(call: Priceable, used: Usage, share: Decimal = WHOLE) -> Cost:
    for model in call.models:
        cost = price(call.provider, model, used, call.at_ms, call.service_tier, share=share)
        if cost.status == "priced":
            return cost
    return Cost(status="unpriced", price_version=price_version())


def _in_force(
    control: ControlView, tenant_id: str, deployment: str, provider: str, models: tuple[str, ...], at_ms: int
) -> Terms | None:
    """None: nobody has agreed on anything, the list price it is. A price before its first period says nothing, so that
    the next most specific one does.
    """
    if not control.prices:
        return None
    sold, known = (tenant_id, deployment, provider, models), control.terms
    if sold not in known:
        if len(known) >= MOST_REMEMBERED:
            known.clear()
        known[sold] = _terms_for(control.prices, sold)
    return next((terms for terms in known[sold] if terms.from_ms <= at_ms), None)


def _terms_for(prices: Mapping[str, Priced], sold: Sold) -> tuple[Terms, ...]:
    """Of every price that is for such calls: the most specific first, and of each the newest period first."""
    ranked = [(rank, name) for name, priced in prices.items() if (rank := _rank(priced.price, sold)) is not None]
    ordered = [prices[name] for _, name in sorted(ranked)]
    return tuple(terms for priced in ordered for terms in terms_of(priced.price, priced.offset))


def _rank(price: Price, sold: Sold) -> tuple[int, int, int, int] | None:
    """Lower is more specific; None: it is not for such calls. The model that was reported goes before the one sent."""
    tenant_id, deployment, provider, models = sold
    named = next((place for place, model in enumerate(models) if model in price.models), None)
    if (
        (price.tenants and tenant_id not in price.tenants)
        or (price.deployments and deployment not in price.deployments)
        or (price.models and named is None)
        or price.provider not in {None, provider}
    ):
        return None
    return (
        0 if price.tenants else 1,
        0 if price.deployments else 1,
        len(models) if named is None else named,
        0 if price.provider else 1,
    )
