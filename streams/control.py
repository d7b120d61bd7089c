"""The configuration a decision obeys: an immutable view of `llm.control`, replaced as the topic moves on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from schemas.control import AnyControl, Breaker, Deployment, Route, Tenant
from schemas.flow import Target
from schemas.money import Budget, Override, Price, SpendStop
from schemas.postprocess import AnswerRules
from streams.cost.terms import Terms

AUTO = "auto"
"""In a model's place: whichever the route leads to."""

Rule = tuple[str, str | None, str | None]
Asked = tuple[str | None, str, str | None]
"""Tenant, model and task of a request."""
Sold = tuple[str, str, str, tuple[str, ...]]
"""Tenant, deployment, whose prices, and the model's names: what decides which price is for a call."""


class Choice(Struct, frozen=True):
    """The route that a request takes, why, and where it leads: see `streams.routes`."""

    route: Route
    reason: str
    targets: tuple[Target, ...]


class Priced(Struct, frozen=True):
    """A price and the offset of the control record that said so, which is its version."""

    price: Price
    offset: int


class BudgetRule(Struct, frozen=True):
    """A budget with its amounts as numbers: `stop_usd` is with its grace."""

    budget: Budget
    usd: Decimal
    stop_usd: Decimal


def _empty() -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class ControlView:
    """Newest state of every object by name. `version` is the offset of the newest record it contains."""

    tenants: Mapping[str, Tenant] = field(default_factory=_empty)
    deployments: Mapping[str, Deployment] = field(default_factory=_empty)
    routes: Mapping[str, Route] = field(default_factory=_empty)
    breakers: Mapping[str, Breaker] = field(default_factory=_empty)
    prices: Mapping[str, Priced] = field(default_factory=_empty)
    budgets: Mapping[str, Budget] = field(default_factory=_empty)
    overrides: Mapping[str, Override] = field(default_factory=_empty)
    spend_stops: Mapping[str, SpendStop] = field(default_factory=_empty)
    version: int = -1

    @property
    def is_configured(self) -> bool:
        return bool(self.tenants and self.deployments and self.routes)

    def weight(self, tenant_id: str) -> int:
        """How many of a tenant's requests go in one turn of its lane."""
        tenant = self.tenants.get(tenant_id)
        return 1 if tenant is None else tenant.weight

    @cached_property
    def route_index(self) -> Mapping[Rule, Route]:
        """Which route each rule leads to: made once, since every request asks."""
        found: dict[Rule, Route] = {}
        for name in sorted(self.routes):
            for rule in _rules_of(self.routes[name]):
                found.setdefault(rule, self.routes[name])
        return found

    @cached_property
    def budget_index(self) -> Mapping[str, tuple[BudgetRule, ...]]:
        """By tenant, in the order of their names."""
        found: dict[str, tuple[BudgetRule, ...]] = {}
        for name in sorted(self.budgets):
            budget = self.budgets[name]
            usd = Decimal(budget.usd)
            rule = BudgetRule(budget, usd, usd * (100 + budget.grace_percent) / 100)
            found[budget.tenant] = (*found.get(budget.tenant, ()), rule)
        return found

    @cached_property
    def override_index(self) -> Mapping[str, tuple[Override, ...]]:
        """By budget."""
        found: dict[str, tuple[Override, ...]] = {}
        for each in self.overrides.values():
            found[each.budget] = (*found.get(each.budget, ()), each)
        return found

    def override_usd(self, budget: str, subject: str, now_ms: int) -> Decimal:
        """What operators have added to a budget, for the time being."""
        return sum(
            (
                Decimal(each.usd)
                for each in self.override_index.get(budget, ())
                if each.subject in {"", subject} and each.made_at_ms <= now_ms < each.until_ms
            ),
            Decimal(0),
        )

    @cached_property
    def choices(self) -> dict[Asked, Choice | None]:
        """What has been chosen so far. It cannot change while nothing else here does."""
        return {}

    @cached_property
    def answer_rules(self) -> dict[tuple[str | None, str], AnswerRules | None]:
        """By tenant and route, as far as they were asked for: see `streams.answers.rules`."""
        return {}

    @cached_property
    def terms(self) -> dict[Sold, tuple[Terms, ...]]:
        """What has been asked so far of the prices: see `streams.cost.agreed`."""
        return {}


def _rules_of(route: Route) -> Iterator[Rule]:
    for tenant in route.tenants:
        yield from (("tenant and task", tenant, task) for task in route.tasks)
        yield from (("tenant and model", tenant, model) for model in route.models)
        if not route.tasks and not route.models:
            yield "tenant, any model", tenant, AUTO
    if not route.tenants:
        yield from (("task", AUTO, task) for task in route.tasks)
        yield from (("model", None, model) for model in route.models)


_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "tenant": "tenants",
        "deployment": "deployments",
        "route": "routes",
        "breaker": "breakers",
        "price": "prices",
        "budget": "budgets",
        "override": "overrides",
        "spend_stop": "spend_stops",
    }
)


def with_object(view: ControlView, obj: AnyControl, version: int) -> ControlView:
    known = _FIELDS[obj.kind]
    held = Priced(obj, version) if isinstance(obj, Price) else obj
    return replace(view, version=version, **{known: {**getattr(view, known), obj.name: held}})


def without_object(view: ControlView, key: str, version: int) -> ControlView:
    """A tombstone: the object named `kind/name` is gone."""
    kind, _, name = key.partition("/")
    known = _FIELDS.get(kind)
    if known is None:
        return replace(view, version=version)
    left = {each: obj for each, obj in getattr(view, known).items() if each != name}
    return replace(view, version=version, **{known: left})
