"""Targets for a request, in order, and what was passed over and why: for `route`, and for those who must foresee it."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from schemas.flow import Target
from schemas.response import Failure
from streams.control import ControlView
from streams.routing.choice import Choice
from streams.routing.order import ordered
from streams.routing.qualify import Inquiry, is_unconditional, qualify
from streams.routing.reasons import Constraint, PassedOver, Unpriced, no_target, unpriced

_BREAKER_OPEN = "breaker open"


class Selection(Struct, frozen=True):
    targets: tuple[Target, ...]
    passed_over: tuple[PassedOver, ...]


def select(choice: Choice, inquiry: Inquiry, control: ControlView) -> Selection:
    """Those that qualify, in the route's order; but those whose breaker is open last: they are a last resort, not
    nothing. A cascade keeps its order, or it would go on from the dear model to the cheap one.
    """
    if is_unconditional(choice, inquiry.needs):
        targets, passed_over = choice.targets, choice.passed_over
    else:
        found = qualify(choice, inquiry, control)
        targets, passed_over = ordered(found.offers, choice.route.order, inquiry, control), found.passed_over
    if not choice.route.cascade:
        targets = _healthy_first(targets, control, inquiry.at_ms)
    return Selection(targets, passed_over)


def may_be_asked(choice: Choice, inquiry: Inquiry, control: ControlView) -> tuple[Target, ...]:
    """In no order that means anything."""
    if is_unconditional(choice, inquiry.needs):
        return choice.targets
    return tuple(offer.target for offer in qualify(choice, inquiry, control).offers)


def unservable(choice: Choice, inquiry: Inquiry, control: ControlView) -> Failure | None:
    """Where no target may be asked, and that is the request's or its tenant's doing: why. A deployment that is gone and
    a price that is missing are not: they may be there before the request is.
    """
    found = qualify(choice, inquiry, control)
    if found.offers or _lacks_prices_only(found.passed_over):
        return None
    return no_target(choice.route.name, found.passed_over)


def unanswerable(choice: Choice, passed_over: Sequence[PassedOver]) -> Failure | None:
    """What the requester is told where all are passed over; None where the route has nobody who could be asked."""
    if not constrained(passed_over):
        return None
    if _lacks_prices_only(passed_over):
        return unpriced(choice.route.name, choice.targets)
    return no_target(choice.route.name, passed_over)


def _lacks_prices_only(passed_over: Sequence[PassedOver]) -> bool:
    return all(each.reason == Unpriced(None) for each in constrained(passed_over))


def reason_of(choice: Choice, passed_over: Sequence[PassedOver]) -> str:
    """Of the route, and of what is not in the plan. Without numbers, so that rows can be grouped by it."""
    missed = constrained(passed_over)
    if not missed:
        return choice.reason
    return f"{choice.reason}, without {', '.join(f'{each.deployment} ({each.reason.kind})' for each in missed)}"


def constrained(passed_over: Sequence[PassedOver]) -> list[PassedOver]:
    """Those that others might be put to."""
    return [each for each in passed_over if isinstance(each.reason, Constraint)]


def is_open(control: ControlView, deployment: str, now_ms: int) -> bool:
    breaker = control.breakers.get(deployment)
    return breaker is not None and breaker.state == "open" and now_ms < breaker.until_ms


def _healthy_first(targets: tuple[Target, ...], control: ControlView, now_ms: int) -> tuple[Target, ...]:
    resting = [target for target in targets if is_open(control, target.deployment, now_ms)]
    if not resting:
        return targets
    healthy = tuple(target for target in targets if target not in resting)
    return (*healthy, *(replace(target, why=_with(target.why)) for target in resting))


def _with(why: str | None) -> str:
    return _BREAKER_OPEN if why is None else f"{why}, {_BREAKER_OPEN}"
