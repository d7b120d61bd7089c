"""The configuration a decision obeys: an immutable view of `llm.control`, replaced as the topic moves on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from schemas.control import AnyControl, Breaker, Deployment, Route, Slowdown, Tenant
from schemas.money import Budget, Override, Price, SpendStop
from schemas.postprocess import AnswerRules
from schemas.routing import Latency
from streams.cost.terms import Terms
from streams.routing.choice import Choice

AUTO = "auto"
"""In a model's place: whichever the route leads to."""

Rule = tuple[str, str | None, str | None]
Asked = tuple[str | None, str, str | None]
"""Tenant, model and task of a request."""
Sold = tuple[str, str, str, tuple[str, ...]]
"""Tenant, deployment, whose prices, and the model's names: what decides which price is for a call."""


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
    latencies: Mapping[str, Latency] = field(default_factory=_empty)
    slowdowns: Mapping[str, Slowdown] = field(default_factory=_empty)
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
            for rule in rules_of(self.routes[name]):
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
    def timed_deployments(self) -> frozenset[str]:
        """Those whose latency decides anything."""
        timed = (route for route in self.routes.values() if "fastest" in route.order)
        return frozenset(target.deployment for route in timed for target in route.targets)

    @cached_property
    def guards_texts(self) -> bool:
        """Whether anybody says anything about texts: else nobody's need be looked at."""
        told = any(tenant.content_rules or tenant.redaction is not None for tenant in self.tenants.values())
        return told or any(route.content_rules for route in self.routes.values())

    @cached_property
    def guards(self) -> dict[tuple[str | None, str | None], Any]:
        """By tenant and route, what has been made ready so far: see `streams.content.guard`."""
        return {}

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


def rules_of(route: Route) -> Iterator[Rule]:
    """What it is found by; the one named `default` also where nothing else is found."""
    for whose, names in (("tenant", route.tenants), ("tier", route.tiers)):
        for name in names:
            yield from ((f"{whose} and task", name, task) for task in route.tasks)
            yield from ((f"{whose} and model", name, model) for model in route.models)
            if not route.tasks and not route.models:
                yield f"{whose}, any model", name, AUTO
    if not route.tenants and not route.tiers:
        yield from (("task", AUTO, task) for task in route.tasks)
        yield from (("model", None, model) for model in route.models)


_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "tenant": "tenants",
        "deployment": "deployments",
        "route": "routes",
        "breaker": "breakers",
        "latency": "latencies",
        "slowdown": "slowdowns",
        "price": "prices",
        "budget": "budgets",
        "override": "overrides",
        "spend_stop": "spend_stops",
    }
)


_WHAT_IS_MEASURED = frozenset({"breaker", "latency", "slowdown"})
"""Written by `watch` every few seconds while there is traffic: nothing that is worked out depends on it."""
_WORKED_OUT = (
    "route_index",
    "budget_index",
    "override_index",
    "timed_deployments",
    "choices",
    "answer_rules",
    "terms",
    "guards",
    "guards_texts",
)


def with_object(view: ControlView, obj: AnyControl, version: int) -> ControlView:
    known = _FIELDS[obj.kind]
    held = Priced(obj, version) if isinstance(obj, Price) else obj
    return _changed(view, obj.kind, {**getattr(view, known), obj.name: held}, version)


def without_object(view: ControlView, key: str, version: int) -> ControlView:
    """A tombstone: the object named `kind/name` is gone."""
    kind, _, name = key.partition("/")
    known = _FIELDS.get(kind)
    if known is None:
        return replace(view, version=version)
    left = {each: obj for each, obj in getattr(view, known).items() if each != name}
    return _changed(view, kind, left, version)


def _changed(view: ControlView, kind: str, objects: Mapping[str, Any], version: int) -> ControlView:
    after = replace(view, version=version, **{_FIELDS[kind]: objects})
    if kind in _WHAT_IS_MEASURED:
        vars(after).update({name: vars(view)[name] for name in _WORKED_OUT if name in vars(view)})
    return after
