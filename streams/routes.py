"""Which route a request takes, and where it leads. `validate` asks whether there is one, `route` takes it."""

from schemas.control import Route, RouteTarget
from schemas.flow import Target, Ticket
from streams.control import AUTO, Choice, ControlView

DEFAULT_ROUTE = "default"
MOST_REMEMBERED = 4_096
"""Models and tasks are the producers' words: without an end to them the memory had none either."""


def choose_route(control: ControlView, ticket: Ticket) -> Choice | None:
    """None when nothing leads to the model that was asked for. Most specific first. A task's route is taken when the
    producer left the model to us, or when its tenant has one. Ties go to the first name in the alphabet.
    """
    asked, choices = (ticket.tenant_id, ticket.model, ticket.task), control.choices
    if asked not in choices:
        if len(choices) >= MOST_REMEMBERED:
            choices.clear()
        choices[asked] = _choose(control, *asked)
    return choices[asked]


def _choose(control: ControlView, tenant: str | None, model: str, task: str | None) -> Choice | None:
    for rule in (
        ("tenant and task", tenant, task),
        ("tenant and model", tenant, model),
        ("tenant, any model", tenant, model),
        ("task", model, task),
        ("model", None, model),
    ):
        route = control.route_index.get(rule)
        if route is not None:
            return Choice(route, f"{rule[0]}: {route.name}", targets_of(control, route, model))
    default = control.routes.get(DEFAULT_ROUTE)
    if default is not None and (model == AUTO or _serves(control, default, model)):
        return Choice(default, "default route", targets_of(control, default, model))
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
