"""What a call costs by the prices that are known now for when it was made. Its row stays as it is."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

from schemas.adjustment import NOTHING, Adjustment, BookedCall, adjustment_id
from schemas.usage import Cost
from streams.control import ControlView
from streams.cost.agreed import Priceable, cost_of

Pricing = Callable[[BookedCall], Cost]
"""The cost of a call's usage by the prices in force when it was started."""


def agreed_prices(control: ControlView) -> Pricing:
    """By the `price` objects of the configuration, and by the public lists where there is none: as calls are booked."""

    def pricing(call: BookedCall) -> Cost:
        deployment = control.deployments.get(call.deployment or "")
        if deployment is None:  # nobody knows any more whose prices it had
            return Cost(status="unpriced")
        priceable = Priceable(
            tenant_id=call.tenant_id,
            deployment=call.deployment or "",
            provider=deployment.price_as or call.provider,
            models=names_of(call.model_used or "", deployment.models.values()),
            at_ms=call.started_at_ms,
            duration_ms=call.provider_ms or 0,
            service_tier=call.service_tier,
        )
        return cost_of(control, priceable, call.usage)

    return pricing


def names_of(reported: str, sent: Iterable[str]) -> tuple[str, ...]:
    """As a call was booked: by the name the answer reported, then by the one that was sent. A row has the first only; a
    snapshot is named after what was asked for, so that is found among the names the deployment sends. What the client
    asked for is no name of the provider's: it may be an alias, or what a fallback stood in for.
    """
    asked = sorted((name for name in set(sent) if reported.startswith(name) and name != reported), key=len)
    return (reported, *reversed(asked)) if reported else ()


@dataclass(frozen=True, slots=True)
class Repriced:
    """`is_news`: the same adjustment is not there yet."""

    call: BookedCall
    adjustment: Adjustment
    is_news: bool

    @property
    def before_usd(self) -> Decimal | None:
        return self.call.amount_usd

    @property
    def after_usd(self) -> Decimal:
        return self.adjustment.after_usd


def reprice(call: BookedCall, pricing: Pricing, run_id: str) -> Repriced | None:
    """None where nothing is to be changed.

    A call that the provider's own record has settled keeps what it says: no price changes what was charged. And one of
    which nobody knows the usage has no other price than it had.
    """
    if call.is_settled or not call.usage.total_tokens:
        return None
    cost = pricing(call)
    if cost.total_usd is None:
        return None
    own = adjustment_id(
        "reprice", call.tenant_id, str(call.produced_at_ms), call.request_id, call.attempt_id, cost.price_version or ""
    )
    standing = call.standing(own)
    if standing is None and call.amount_usd == cost.total_usd:
        return None
    made = call.adjustment(
        own, "reprice", cost.total_usd, reason="priced again", run_id=run_id, price_version=cost.price_version
    )
    return Repriced(call, made, is_news=not made.says_the_same_as(standing))


@dataclass(slots=True)
class RepricedSum:
    """Of one tenant's calls to one model. `newly_priced`: of those changed, how many nobody knew the cost of.

    `before_usd` adds up what was known.
    """

    tenant_id: str
    model: str
    changed: int = 0
    newly_priced: int = 0
    before_usd: Decimal = NOTHING
    after_usd: Decimal = NOTHING

    @property
    def difference_usd(self) -> Decimal:
        return self.after_usd - self.before_usd


def summed(repriced: Iterable[Repriced]) -> list[RepricedSum]:
    """What is news, by tenant and model; the largest difference first."""
    found: dict[tuple[str, str], RepricedSum] = {}
    for each in repriced:
        if each.is_news:
            key = each.call.tenant_id, each.call.model
            line = found.setdefault(key, RepricedSum(*key))
            line.changed += 1
            line.newly_priced += each.before_usd is None
            line.before_usd += each.before_usd or NOTHING
            line.after_usd += each.after_usd
    return sorted(found.values(), key=lambda line: (-abs(line.difference_usd), line.tenant_id, line.model))
