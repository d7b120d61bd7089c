"""The order in which targets are asked: strategies, of which the first counts and each next one breaks ties."""

from collections.abc import Sequence
from decimal import Decimal
from hashlib import blake2b
from math import inf, log
from typing import assert_never

from msgspec.structs import replace

from schemas.flow import Target
from schemas.routing import Latency, Strategy
from streams.control import ControlView
from streams.routing.choice import Offer
from streams.routing.qualify import Inquiry

FRESH_MS = 180_000
"""A latency older than this says nothing: `watch` tells one anew every minute while there are calls."""
EXPLORED_SHARE = 0.05
"""Of the requests, to a target whose latency nobody knows: it is asked first, or it would never be known."""
_ALIKE = 1.25
"""Latencies within about a quarter of each other are a tie: all would go to one place for a few milliseconds' sake."""
_WHOLE = 2**64

Rank = tuple[int | float | Decimal, ...]
_TIE: Rank = (0,)


def ordered(
    offers: Sequence[Offer], order: Sequence[Strategy], inquiry: Inquiry, control: ControlView
) -> tuple[Target, ...]:
    """The route's own order decides what no strategy does. Each target says its place, and by what."""
    if order[0] == "given":
        return tuple(offer.target for offer in offers)
    ranked = sorted(offers, key=lambda offer: tuple(_rank(each, offer, inquiry, control) for each in order))
    by = ", ".join(order)
    return tuple(replace(offer.target, why=f"{by} {place}/{len(ranked)}") for place, offer in enumerate(ranked, 1))


def latency_of(control: ControlView, deployment: str, at_ms: int) -> Latency | None:
    """None when nobody knows, or knew too long ago."""
    latency = control.latencies.get(deployment)
    return latency if latency is not None and at_ms - latency.at_ms <= FRESH_MS else None


def _rank(strategy: Strategy, offer: Offer, inquiry: Inquiry, control: ControlView) -> Rank:
    """Lower is asked sooner."""
    match strategy:
        case "given":
            return _TIE
        case "cheapest":
            usd = inquiry.usd(control, offer.target)
            return (1, 0) if usd is None else (0, usd)
        case "fastest":
            return _slowness(latency_of(control, offer.target.deployment, inquiry.at_ms), offer, inquiry)
        case "weighted":
            return (_turn(offer, inquiry),)
        case _ as unreachable:
            assert_never(unreachable)


def _slowness(latency: Latency | None, offer: Offer, inquiry: Inquiry) -> Rank:
    if latency is None:
        is_explored = _chance(offer, inquiry, "explored") < EXPLORED_SHARE
        return (0, 0, 0) if is_explored else (2, 0, 0)
    return (1, _step(latency.p50_ms), _step(latency.p95_ms))


def _step(milliseconds: int) -> int:
    return round(log(max(milliseconds, 1), _ALIKE))


def _turn(offer: Offer, inquiry: Inquiry) -> float:
    """Drawn so that each is first with the probability of its weight, and the rest are in order likewise."""
    return -log(_chance(offer, inquiry, "weighted")) / offer.weight if offer.weight else inf


def _chance(offer: Offer, inquiry: Inquiry, what: Strategy | str) -> float:
    """In (0, 1), and always the same for a request and a target."""
    drawn = f"{what}\0{inquiry.identity}\0{offer.target.deployment}\0{offer.target.model}".encode()
    return (int.from_bytes(blake2b(drawn, digest_size=8).digest()) + 0.5) / _WHOLE
