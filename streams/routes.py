"""Which route a request takes, and where it leads. `validate` asks whether there is one, `route` takes it."""

from collections.abc import Iterable, Iterator
from decimal import Decimal

from msgspec.structs import replace

from schemas.control import Deployment, Route, RouteTarget, Tenant
from schemas.flow import Target, Ticket
from schemas.routing import Features
from streams.control import AUTO, ControlView, Rule
from streams.routing.choice import Choice, Offer
from streams.routing.reasons import Cap, Gone, NoModel, OtherRegion, OtherTier, PassedOver, Reason

DEFAULT_ROUTE = "default"
DEFAULT_RULE = "default route"
_ANY_MODEL = frozenset({"tenant, any model", "tier, any model"})
MOST_REMEMBERED = 4_096
"""Models and tasks are the producers' words: without an end to them the memory had none either."""


def choose_route(control: ControlView, ticket: Ticket) -> Choice | None:
    """None when nothing leads to the model that was asked for. Most specific first. A task's route is taken when the
    producer left the model to us, or when its tenant or tier has one. Ties go to the first name in the alphabet.
    """
    asked, choices = (ticket.tenant_id, ticket.model, ticket.task), control.choices
    if asked not in choices:
        if len(choices) >= MOST_REMEMBERED:
            choices.clear()
        choices[asked] = _choose(control, *asked)
    return choices[asked]


def found(control: ControlView, tenant_id: str | None, model: str, task: str | None) -> Iterator[tuple[str, Route]]:
    """The routes that hold for the request, each with what it was found by, the most specific first."""
    tenant = control.tenants.get(tenant_id or "")
    for rule in _rules(tenant_id, None if tenant is None else tenant.tier, model, task):
        route = control.route_index.get(rule)
        if route is not None and rule[0] in _ANY_MODEL:
            route = _for_model(control, route, model)
        if route is not None:
            yield rule[0], route
    default = _default_route(control, tenant, model)
    if default is not None:
        yield DEFAULT_RULE, default


def _rules(tenant_id: str | None, tier: str | None, model: str, task: str | None) -> tuple[Rule, ...]:
    """What a route may be found by, the most specific first."""
    return (
        ("tenant and task", tenant_id, task),
        ("tenant and model", tenant_id, model),
        ("tenant, any model", tenant_id, AUTO),
        ("tier and task", tier, task),
        ("tier and model", tier, model),
        ("tier, any model", tier, AUTO),
        ("task", model, task),
        ("model", None, model),
    )


def _choose(control: ControlView, tenant_id: str | None, model: str, task: str | None) -> Choice | None:
    for rule, route in found(control, tenant_id, model, task):
        reason = rule if rule == DEFAULT_RULE else f"{rule}: {route.name}"
        return choice_of(control, route, control.tenants.get(tenant_id or ""), model, reason)
    return None


def _for_model(control: ControlView, route: Route, model: str) -> Route | None:
    """A route for any model as it is for one that was named: with its targets of that very model. None where no
    deployment of them has it. Nobody who names a model is given another because there is a route of their own.
    """
    if model == AUTO:
        return route
    targets: dict[str, RouteTarget] = {}
    for target in route.targets:
        if target.model in {None, model}:
            targets.setdefault(target.deployment, target)
    is_served = any(_deployed(control, target, model) for target in targets.values())
    return route.model_copy(update={"targets": tuple(targets.values())}) if is_served else None


def _default_route(control: ControlView, tenant: Tenant | None, model: str) -> Route | None:
    """It carries a named model only where a deployment of it has that very model."""
    default = control.routes.get(DEFAULT_ROUTE)
    if default is None or not is_for(default, tenant):
        return None
    return default if model == AUTO or _serves(control, default, model) else None


def is_for(route: Route, tenant: Tenant | None) -> bool:
    if tenant is None:
        return not route.tenants and not route.tiers
    return (not route.tenants or tenant.name in route.tenants) and (not route.tiers or tenant.tier in route.tiers)


def _serves(control: ControlView, route: Route, model: str) -> bool:
    return any(target.model is None and _deployed(control, target, model) for target in route.targets)


def _deployed(control: ControlView, target: RouteTarget, model: str) -> bool:
    deployment = control.deployments.get(target.deployment)
    return deployment is not None and model in deployment.models


def choice_of(control: ControlView, route: Route, tenant: Tenant | None, model: str, reason: str) -> Choice:
    """Its judges are looked at as its targets are."""
    choice = _choice_of(control, route, tenant, model, reason)
    if route.judge is None:
        return choice
    judging = route.model_copy(update={"targets": route.judge.targets, "order": ("given",), "cascade": False})
    return replace(choice, judge=_choice_of(control, judging, tenant, model, reason))


def _choice_of(control: ControlView, route: Route, tenant: Tenant | None, model: str, reason: str) -> Choice:
    found = [_offered(control, each, tenant, model) for each in route.targets]
    offers = tuple(each for each in found if isinstance(each, Offer))
    caps = tuple(_caps(tenant, route))
    is_plain = not caps and not route.refuse_unpriced and route.order[0] == "given"
    return Choice(
        route=route,
        reason=reason,
        offers=offers,
        targets=tuple(offer.target for offer in offers),
        passed_over=tuple(each for each in found if isinstance(each, PassedOver)),
        caps=caps,
        context_tokens=_smallest_context(offer.features for offer in offers),
        is_plain=is_plain and all(offer.features is None for offer in offers),
    )


def targets_of(control: ControlView, route: Route, model: str) -> tuple[Target, ...]:
    """The route's targets that exist, in its order, with the provider's own names for the model."""
    return choice_of(control, route, None, model, "").targets


def _offered(control: ControlView, target: RouteTarget, tenant: Tenant | None, model: str) -> Offer | PassedOver:
    """Without a tenant: to anybody. No request is sent by that, see `streams.tenancy`."""
    deployment, name = control.deployments.get(target.deployment), target.model or model
    if deployment is None:
        return PassedOver(target.deployment, name, Gone())
    if name not in deployment.models:
        return PassedOver(target.deployment, name, NoModel())
    barred = None if tenant is None else _barred(deployment, tenant)
    if barred is not None:
        return PassedOver(target.deployment, name, barred)
    asked = Target(
        deployment=deployment.name,
        provider=deployment.provider,
        model=deployment.models[name],
        region=deployment.region,
        price_as=deployment.price_as,
    )
    return Offer(asked, name, deployment.features.get(name), target.weight)


def _barred(deployment: Deployment, tenant: Tenant) -> Reason | None:
    if tenant.regions and deployment.region not in tenant.regions:
        return OtherRegion(deployment.region, tenant.regions)
    if deployment.tiers and tenant.tier not in deployment.tiers:
        return OtherTier(tenant.tier, deployment.tiers)
    return None


def is_elsewhere(control: ControlView, tenant_id: str | None, planned: Target) -> bool:
    """Whether the tenant's data may not go there as things stand now. That of a tenant which is not configured any more
    goes where the plan says, unless that has moved since. Nobody can be asked at a deployment that is gone.
    """
    tenant, known = control.tenants.get(tenant_id or ""), control.deployments.get(planned.deployment)
    if known is None:
        return False
    if tenant is None:
        return known.region != planned.region
    return isinstance(_barred(known, tenant), OtherRegion)


def _caps(tenant: Tenant | None, route: Route) -> Iterator[Cap]:
    if tenant is not None and tenant.max_request_usd is not None:
        yield Cap(Decimal(tenant.max_request_usd), "tenant")
    if route.max_request_usd is not None:
        yield Cap(Decimal(route.max_request_usd), "route")


def _smallest_context(known: Iterable[Features | None]) -> int | None:
    windows = (each.context_tokens for each in known if each is not None)
    return min((tokens for tokens in windows if tokens is not None), default=None)
