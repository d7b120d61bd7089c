"""What in a configuration cannot work although each of its objects is valid."""

from collections import Counter
from collections.abc import Iterator

from schemas.control import Route
from schemas.flow import Target
from streams.answers.rules import may_find_wanting, rules_for
from streams.control import AUTO, ControlView, rules_of
from streams.routes import DEFAULT_ROUTE, is_for, targets_of


def inconsistencies(view: ControlView) -> tuple[str, ...]:
    """One sentence for each, naming the object and what to do."""
    checks = (_tenants, _tiers, _content_rules, _deployments, _targets, _routes, _untaken, _rounds, _prices, _budgets)
    return tuple(problem for check in checks for problem in check(view))


def _tenants(view: ControlView) -> Iterator[str]:
    regions = {deployment.region for deployment in view.deployments.values() if deployment.region is not None}
    for tenant in view.tenants.values():
        if tenant.enabled and not tenant.open and not tenant.key_sha256:
            yield f"tenant {tenant.name}: nobody can prove to be it; add a key_sha256 (millrace config hash-key)"
        if tenant.regions and not regions & set(tenant.regions):
            known = ", ".join(sorted(regions)) or "none"
            yield f"tenant {tenant.name}: no deployment is in its regions; deployments are in: {known}"


def _tiers(view: ControlView) -> Iterator[str]:
    """Of a configuration without any tenant they may be still to come."""
    known = {tenant.tier for tenant in view.tenants.values()}
    for each in (*view.deployments.values(), *view.routes.values()):
        if known and each.tiers and not known & set(each.tiers):
            said = f"{each.kind} {each.name}: no tenant is of its tiers ({', '.join(each.tiers)})"
            yield f"{said}; tenants are of: {', '.join(sorted(known))}"


def _content_rules(view: ControlView) -> Iterator[str]:
    """Whoever is refused is told a rule's name, and nothing else."""
    for each in (*view.tenants.values(), *view.routes.values()):
        for name, times in Counter(rule.name for rule in each.content_rules).items():
            if times > 1:
                yield f"{each.kind} {each.name}: content_rules has {name} {times} times; give each a name of its own"


def _deployments(view: ControlView) -> Iterator[str]:
    for deployment in view.deployments.values():
        for model, name in deployment.models.items():
            if not name.strip():
                yield f"deployment {deployment.name}: models says nothing for {model}; write the provider's name for it"
        for model in deployment.features:
            if model not in deployment.models:
                yield f"deployment {deployment.name}: features names {model}, which is none of its models; rename it"


def _targets(view: ControlView) -> Iterator[str]:
    for route in view.routes.values():
        for target in (*route.targets, *(route.judge.targets if route.judge else ())):
            deployment = view.deployments.get(target.deployment)
            if deployment is None:
                yield f"route {route.name}: there is no deployment {target.deployment}; add it, or take the target out"
            elif target.model is not None and target.model not in deployment.models:
                known = ", ".join(deployment.models)
                yield f"route {route.name}: deployment {deployment.name} has no model {target.model}; it has {known}"


def _routes(view: ControlView) -> Iterator[str]:
    for route in view.routes.values():
        for name in route.tenants:
            if name not in view.tenants:
                yield f"route {route.name}: there is no tenant {name}; add it, or take the name out"
        if "weighted" in route.order and not any(target.weight for target in route.targets):
            yield f"route {route.name}: order is weighted and no target has a weight; give one to a target"
        for model in asked_for(route):
            if not targets_of(view, route, model):
                yield f"route {route.name}: no target serves model {model}; name the `model` its targets shall be asked"


def _untaken(view: ControlView) -> Iterator[str]:
    for route in view.routes.values():
        if route.name == DEFAULT_ROUTE:
            continue
        takers = {view.route_index[rule].name for rule in rules_of(route)}
        if not takers:
            yield f"route {route.name}: nothing leads to it; name models, tasks, tenants or tiers, or call it default"
        elif route.name not in takers:
            first = ", ".join(sorted(takers))
            yield f"route {route.name}: what leads to it leads to {first}, first by name; take one out, or part them"


def _rounds(view: ControlView) -> Iterator[str]:
    """A route that shall ask again, and never would, for any tenant that takes it."""
    for route in view.routes.values():
        rules = [rules_for(view, name, route) for name in route.tenants or view.tenants]
        if route.cascade and not any(_has_several(targets_of(view, route, model)) for model in asked_for(route)):
            yield f"route {route.name}: all targets of its cascade are of one model; name another, or leave cascade out"
        if route.cascade and not any(map(may_find_wanting, rules)):
            yield f"route {route.name}: nothing leads on in its cascade; require a check in postprocess"
        if route.postprocess.re_ask and all(each is None or each.structure == "off" for each in rules):
            yield f"route {route.name}: re_ask is for JSON that fails its check; set postprocess.structure"
        if route.judge is not None and route.max_attempts < (least := 3 if route.cascade else 2):
            yield f"route {route.name}: a judge is one call more than max_attempts allows; allow {least} or more"
        if route.max_attempts == 1 and (route.cascade or route.postprocess.re_ask):
            yield f"route {route.name}: max_attempts is 1, so nobody is asked again; allow 2 or more"

    for tenant in view.tenants.values():
        taken = [rules_for(view, tenant.name, route) for route in view.routes.values() if is_for(route, tenant)]
        if tenant.postprocess.re_ask and all(each is None or each.structure == "off" for each in taken):
            yield f"tenant {tenant.name}: re_ask is for JSON that fails its check; set postprocess.structure"


def _has_several(targets: tuple[Target, ...]) -> bool:
    """Models: another target of one that was asked would say the same."""
    return len({target.model for target in targets}) != 1


def _prices(view: ControlView) -> Iterator[str]:
    for price in (each.price for each in view.prices.values()):
        for name in price.tenants:
            if name not in view.tenants:
                yield f"price {price.name}: there is no tenant {name}; add it, or take the name out"
        for name in price.deployments:
            if name not in view.deployments:
                yield f"price {price.name}: there is no deployment {name}; add it, or take the name out"


def _budgets(view: ControlView) -> Iterator[str]:
    for budget in view.budgets.values():
        if budget.tenant not in view.tenants:
            yield f"budget {budget.name}: there is no tenant {budget.tenant}; add it, or remove the budget"


def asked_for(route: Route) -> tuple[str, ...]:
    """The models under which requests take this route: `auto` where the choice is left to it."""
    return (*route.models, AUTO) if route.tasks or not route.models else route.models
