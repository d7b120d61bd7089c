"""What a call costs by the prices that are known now for when it was made. Its row stays as it is."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from schemas.adjustment import Adjustment, BookedCall, adjustment_id
from schemas.usage import Cost
from streams.cost.price import price

Pricing = Callable[[BookedCall], Cost]
"""The cost of a call's usage by the prices in force when it was started."""


def list_price(call: BookedCall) -> Cost:
    """By the provider's public list. A snapshot's name may be newer than the list: then as what was asked for."""
    cost = Cost(status="unpriced")
    for model in (call.model_used, call.model_requested):
        if model is not None and cost.status == "unpriced":
            cost = price(call.provider, model, call.usage, call.started_at_ms, call.service_tier)
    return cost


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
