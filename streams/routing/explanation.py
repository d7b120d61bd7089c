"""What would happen to a request and why, target by target: decided by the very functions that `route` decides with."""

from decimal import Decimal

from msgspec import Struct

from schemas.flow import Target, Ticket
from schemas.response import Failure
from schemas.routing import Latency
from streams.control import ControlView
from streams.routes import choice_of, choose_route, found
from streams.routing.choice import Choice
from streams.routing.choose import Selection, reason_of, select, unanswerable
from streams.routing.judges import inquiry_about, select_judges
from streams.routing.order import latency_of
from streams.routing.qualify import Inquiry
from streams.routing.reasons import PassedOver

_AS_GIVEN = "as the route says"


class Considered(Struct, frozen=True):
    """A way by which routes are found, the most specific first, and the route that it leads to."""

    rule: str
    route: str
    is_taken: bool


class Weighed(Struct, frozen=True):
    """A target. `place` is None for one that is not asked; `usd` None where nobody knows the price."""

    place: int | None
    deployment: str
    model: str
    region: str | None
    usd: Decimal | None
    latency: Latency | None
    why: str


class Explanation(Struct, frozen=True):
    """`failure` is what the requester would be told where nobody is asked; None also where no route is found, and where
    it has no deployment, which `route` finds out later.
    """

    considered: tuple[Considered, ...]
    route: str | None
    reason: str | None
    targets: tuple[Weighed, ...]
    failure: Failure | None
    cascade: bool = False
    judges: tuple[Weighed, ...] = ()
    least_mark: float | None = None


def explain(control: ControlView, ticket: Ticket, inquiry: Inquiry) -> Explanation:
    considered, choice = _considered(control, ticket), choose_route(control, ticket)
    if choice is None:
        return Explanation(considered, None, None, (), None)
    selection, judge = select(choice, inquiry, control), choice.judge
    return Explanation(
        considered=considered,
        route=choice.route.name,
        reason=reason_of(choice, selection.passed_over),
        targets=_all_weighed(choice, selection, ticket.model, inquiry, control),
        failure=None if selection.targets else unanswerable(choice, selection.passed_over),
        cascade=choice.route.cascade,
        judges=() if judge is None else _judges(judge, ticket.model, inquiry, control),
        least_mark=None if choice.route.judge is None else choice.route.judge.at_least,
    )


def _judges(judge: Choice, model: str, inquiry: Inquiry, control: ControlView) -> tuple[Weighed, ...]:
    selection = select_judges(judge, inquiry, control)
    return _all_weighed(judge, selection, model, inquiry_about(inquiry), control)


def _all_weighed(
    choice: Choice, selection: Selection, model: str, inquiry: Inquiry, control: ControlView
) -> tuple[Weighed, ...]:
    known = _targets_by_name(control, choice, model)
    named = {(target.deployment, target.model): model for (_, model), target in known.items()}
    asked = (
        _weighed(place, named[target.deployment, target.model], target, target.why or _AS_GIVEN, inquiry, control)
        for place, target in enumerate(selection.targets, 1)
    )
    passed_over = (
        _passed_over(each, known.get((each.deployment, each.model)), inquiry, control) for each in selection.passed_over
    )
    return (*asked, *passed_over)


def _considered(control: ControlView, ticket: Ticket) -> tuple[Considered, ...]:
    ways = found(control, ticket.tenant_id, ticket.model, ticket.task)
    return tuple(Considered(rule, route.name, is_taken=place == 0) for place, (rule, route) in enumerate(ways))


def _targets_by_name(control: ControlView, choice: Choice, model: str) -> dict[tuple[str, str], Target]:
    """Of the route as it is for anybody, by deployment and our name of the model."""
    anybodys = choice_of(control, choice.route, None, model, choice.reason)
    return {(offer.target.deployment, offer.model): offer.target for offer in anybodys.offers}


def _weighed(
    place: int | None, model: str, target: Target, why: str, inquiry: Inquiry, control: ControlView
) -> Weighed:
    return Weighed(
        place=place,
        deployment=target.deployment,
        model=model,
        region=target.region,
        usd=inquiry.usd(control, target),
        latency=latency_of(control, target.deployment, inquiry.at_ms),
        why=why,
    )


def _passed_over(each: PassedOver, target: Target | None, inquiry: Inquiry, control: ControlView) -> Weighed:
    if target is None:
        return Weighed(None, each.deployment, each.model, None, None, None, each.reason.said)
    return _weighed(None, each.model, target, each.reason.said, inquiry, control)
