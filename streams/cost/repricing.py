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
        sold = _sold_as(control, call)
        if sold is None:
            return Cost(status="unpriced")
        provider, models = sold
        priceable = Priceable(
            tenant_id=call.tenant_id,
            deployment=call.deployment or "",
            provider=provider,
            models=models,
            at_ms=call.started_at_ms,
            duration_ms=call.provider_ms or 0,
            service_tier=call.service_tier,
        )
        return cost_of(control, priceable, call.usage)

    return pricing


def _sold_as(control: ControlView, call: BookedCall) -> tuple[str, tuple[str, ...]] | None:
    """Whose prices it had, and under which names, as when it was booked. Rows of before that was written down are
    judged by their deployment as it is now; where that is gone, nobody knows any more.
    """
    reported = call.model_used or ""
    if call.price_as is not None:
        return call.price_as, tuple(dict.fromkeys(name for name in (reported, call.model_sent) if name))
    deployment = control.deployments.get(call.deployment or "")
    if deployment is None:
        return None
    return deployment.price_as or call.provider, names_of(reported, deployment.models.values())


def names_of(reported: str, sent: Iterable[str]) -> tuple[str, ...]:
    """Of a row that says only what the answer reported: then the name that was sent. A snapshot is named after what was
    asked for, so that is found among the names the deployment sends. What the client asked for is no name of the
    provider's: it may be an alias, or what a fallback stood in for.
    """
    asked = sorted((name for name in set(sent) if reported.startswith(name) and name != reported), key=len)
    return (reported, *reversed(asked)) if reported else ()


@dataclass(frozen=True, slots=True)
class Repriced:
    call: BookedCall
    adjustment: Adjustment

    @property
    def before_usd(self) -> Decimal | None:
        return self.call.amount_usd

    @property
    def after_usd(self) -> Decimal:
        return self.adjustment.after_usd


def reprice(call: BookedCall, pricing: Pricing, run_id: str) -> Repriced | None:
    """None where nothing is to be changed: the same prices again write nothing.

    A call that the provider's own record has settled keeps what it says: no price changes what was charged. And one of
    which nobody knows the usage has no other price than it had; a usage of no tokens is known, and its time may cost.
    """
    if call.is_settled or call.usage_source == "none" or call.cost_status == "unknown_billable":
        return None
    cost = pricing(call)
    if cost.total_usd is None or cost.total_usd == call.amount_usd:
        return None
    own = adjustment_id(
        "reprice",
        call.tenant_id,
        str(call.produced_at_ms),
        call.request_id,
        call.attempt_id,
        # Prices that come back are another step, not the first one again: each has its own place in the history.
        str(sum(each.kind == "reprice" for each in call.adjustments)),
        cost.price_version or "",
    )
    return Repriced(
        call,
        call.adjustment(
            own, "reprice", cost.total_usd, reason="priced again", run_id=run_id, price_version=cost.price_version
        ),
    )


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
    """By tenant and model; the largest difference first."""
    found: dict[tuple[str, str], RepricedSum] = {}
    for each in repriced:
        key = each.call.tenant_id, each.call.model
        line = found.setdefault(key, RepricedSum(*key))
        line.changed += 1
        line.newly_priced += each.before_usd is None
        line.before_usd += each.before_usd or NOTHING
        line.after_usd += each.after_usd
    return sorted(found.values(), key=lambda line: (-abs(line.difference_usd), line.tenant_id, line.model))
