"""Which targets a request may be put to at all. What it may cost is estimated by the price in force: see `agreed`."""

from collections.abc import Sequence
from decimal import Decimal

from msgspec import Struct

from schemas.flow import Needs, Target
from schemas.routing import Features
from streams.control import ControlView
from streams.cost.agreed import estimated_usd
from streams.limits import EXPECTED_OUTPUT_TOKENS
from streams.routing.choice import Choice, Offer
from streams.routing.reasons import (
    AnswerTooLong,
    Cap,
    Constraint,
    Lacks,
    PassedOver,
    TooDear,
    TooLong,
    Unpriced,
)


class Inquiry(Struct, frozen=True):
    """A request as far as routing looks at it. `identity` decides where chance would: a replay is routed the same.
    `at_ms`, UTC, says which prices are in force and which latencies are fresh.
    """

    tenant_id: str
    identity: str
    needs: Needs
    input_tokens: int
    at_ms: int

    @property
    def output_tokens(self) -> int:
        return self.needs.max_tokens or EXPECTED_OUTPUT_TOKENS

    def usd(self, control: ControlView, target: Target) -> Decimal | None:
        """The most that it may plausibly cost there, by one call. None where nobody knows the price."""
        return estimated_usd(control, self.tenant_id, target, self.input_tokens, self.output_tokens, self.at_ms)


class Qualified(Struct, frozen=True):
    offers: tuple[Offer, ...]
    passed_over: tuple[PassedOver, ...]


def qualify(choice: Choice, inquiry: Inquiry, control: ControlView) -> Qualified:
    """Hard constraints only: what is passed over here is not asked, whatever else fails."""
    caps = caps_of(choice, inquiry)
    offers: list[Offer] = []
    passed_over: list[PassedOver] = [*choice.passed_over]
    for offer in choice.offers:
        reason = _incapable(offer.features, inquiry)
        if reason is None and (caps or choice.route.refuse_unpriced):
            reason = _unaffordable(caps, inquiry.usd(control, offer.target))
        if reason is None:
            offers.append(offer)
        else:
            passed_over.append(PassedOver(offer.target.deployment, offer.model, reason))
    return Qualified(tuple(offers), tuple(passed_over))


def caps_of(choice: Choice, inquiry: Inquiry) -> tuple[Cap, ...]:
    own = inquiry.needs.max_cost_usd
    return choice.caps if own is None else (Cap(own, "request"), *choice.caps)


def is_unconditional(choice: Choice, needs: Needs) -> bool:
    """Nothing need be looked at: as it is for nearly every request."""
    return choice.is_plain and needs.max_cost_usd is None


def _incapable(features: Features | None, inquiry: Inquiry) -> Constraint | None:
    if features is None:
        return None
    return _lacking(features, inquiry.needs) or _too_long(features, inquiry)


def _lacking(features: Features, needs: Needs) -> Lacks | None:
    if needs.tools and not features.tools:
        return Lacks("tools")
    if needs.images and not features.images:
        return Lacks("images")
    if needs.structured_output and not features.structured_output:
        return Lacks("structured_output")
    return None


def _too_long(features: Features, inquiry: Inquiry) -> AnswerTooLong | TooLong | None:
    max_tokens, at_most, window = inquiry.needs.max_tokens, features.max_output_tokens, features.context_tokens
    if max_tokens is not None and at_most is not None and max_tokens > at_most:
        return AnswerTooLong(max_tokens, at_most)
    tokens = inquiry.input_tokens + (max_tokens or 1)  # an answer of any length, where none is asked for
    return TooLong(tokens, window) if window is not None and tokens > window else None


def _unaffordable(caps: Sequence[Cap], usd: Decimal | None) -> Constraint | None:
    lowest = min(caps, key=lambda cap: cap.usd, default=None)
    if usd is None:
        return Unpriced(lowest)
    return TooDear(usd, lowest) if lowest is not None and usd > lowest.usd else None
