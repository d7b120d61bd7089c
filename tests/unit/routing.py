"""Three deployments of one model, at three prices, and requests that are put to them."""

from decimal import Decimal
from typing import Any

from schemas.control import AnyControl, Deployment
from schemas.flow import NO_NEEDS, Needs
from schemas.routing import Features
from streams.control import ControlView
from streams.routes import choose_route
from streams.routing.choice import Choice
from streams.routing.qualify import Inquiry, Qualified, qualify
from tests.unit.examples import NOW_MS, control, deployment, route, ticket

CHEAP, MIDDLE, DEAR = "gpt-4o-mini", "claude-haiku-4-5", "gpt-4.1"
CHEAP_USD, MIDDLE_USD, DEAR_USD = Decimal("0.0003087"), Decimal("0.00257"), Decimal("0.004116")
"""Of 10 tokens in and 512 out, by the list."""
ALL = ("dear", "cheap", "middle")


def offering(name: str, model: str, features: Features | None = None, **changes: Any) -> Deployment:
    """As our `gpt-5-mini`."""
    provider = "anthropic" if model == MIDDLE else "openai"
    known = {} if features is None else {"gpt-5-mini": features}
    return deployment(name, models={"gpt-5-mini": model}, features=known, provider=provider, **changes)


def three(*objects: AnyControl, **rules: Any) -> ControlView:
    """The dearest is the route's first."""
    offered = (offering("dear", DEAR), offering("cheap", CHEAP), offering("middle", MIDDLE))
    return control(*offered, route("default", *ALL, **rules), *objects)


def choice_in(configured: ControlView, **changes: Any) -> Choice:
    found = choose_route(configured, ticket(**changes))
    assert found is not None
    return found


def inquiry(request_id: str = "r-1", needs: Needs = NO_NEEDS, **changes: Any) -> Inquiry:
    facts: dict[str, Any] = {"tenant_id": "acme", "input_tokens": 10, "at_ms": NOW_MS, **changes}
    return Inquiry(identity=f"acme/{request_id}", needs=needs, **facts)


def qualified(configured: ControlView, needs: Needs = NO_NEEDS, **changes: Any) -> Qualified:
    return qualify(choice_in(configured), inquiry(needs=needs, **changes), configured)


def left(found: Qualified) -> list[str]:
    return [offer.target.deployment for offer in found.offers]
