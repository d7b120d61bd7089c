"""Which route a request takes, and where it leads. `validate` asks whether there is one, `route` takes it."""

from collections.abc import Callable
from dataclasses import dataclass

from schemas.control import Route, RouteTarget
from schemas.flow import Target, Ticket
from streams.control import ControlView

DEFAULT_ROUTE = "default"
AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Choice:
    route: Route
    reason: str


_Rule = tuple[str, Callable[[Route, Ticket], bool]]

_RULES: tuple[_Rule, ...] = (
    ("tenant and task", lambda r, t: t.tenant_id in r.tenants and t.task in r.tasks),
    ("tenant and model", lambda r, t: t.tenant_id in r.tenants and t.model in r.models),
    ("tenant, any model", lambda r, t: t.tenant_id in r.tenants and t.model == AUTO and not r.tasks and not r.models),
    ("task", lambda r, t: not r.tenants and t.task in r.tasks and t.model == AUTO),
    ("model", lambda r, t: not r.tenants and t.model in r.models),
)
"""Most specific first. A task's route is taken when the producer left the model to us, or when its tenant has one."""


def choose_route(control: ControlView, ticket: Ticket) -> Choice | None:
    """None when nothing leads to the model that was asked for. Ties go to the first name in the alphabet."""
    routes = [control.routes[name] for name in sorted(control.routes)]
    for reason, applies in _RULES:
        for route in routes:
            if applies(route, ticket):
                return Choice(route, f"{reason}: {route.name}")
    default = control.routes.get(DEFAULT_ROUTE)
    if default is not None and (ticket.model == AUTO or _serves(control, default, ticket.model)):
        return Choice(default, "default route")
    return None


def _serves(control: ControlView, route: Route, model: str) -> bool:
    """The default route carries a named model only where a deployment of it has that very model."""
    return any(target.model is None and _deployed(control, target, model) for target in route.targets)


def _deployed(control: ControlView, target: RouteTarget, model: str) -> bool:
    deployment = control.deployments.get(target.deployment)
    return deployment is not None and model in deployment.models


def targets_of(control: ControlView, route: Route, model: str) -> tuple[Target, ...]:
    """The route's targets that exist, in its order, with the provider's own names for the model."""
    found: list[Target] = []
    for target in route.targets:
        deployment = control.deployments.get(target.deployment)
        name = target.model or model
        if deployment is not None and name in deployment.models:
            found.append(
                Target(
                    deployment=deployment.name,
                    provider=deployment.provider,
                    model=deployment.models[name],
                    region=deployment.region,
                    price_as=deployment.price_as,
                )
            )
    return tuple(found)
