"""The configuration a decision obeys: an immutable view of `llm.control`, replaced as the topic moves on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, assert_never

from msgspec import Struct

from schemas.control import Breaker, Deployment, Route, Tenant
from schemas.flow import Target

AUTO = "auto"
"""In a model's place: whichever the route leads to."""

Rule = tuple[str, str | None, str | None]
Asked = tuple[str | None, str, str | None]
"""Tenant, model and task of a request."""


class Choice(Struct, frozen=True):
    """The route that a request takes, why, and where it leads: see `streams.routes`."""

    route: Route
    reason: str
    targets: tuple[Target, ...]


def _empty() -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class ControlView:
    """Newest state of every object by name. `version` is the offset of the newest record it contains."""

    tenants: Mapping[str, Tenant] = field(default_factory=_empty)
    deployments: Mapping[str, Deployment] = field(default_factory=_empty)
    routes: Mapping[str, Route] = field(default_factory=_empty)
    breakers: Mapping[str, Breaker] = field(default_factory=_empty)
    version: int = -1

    @property
    def is_configured(self) -> bool:
        return bool(self.tenants and self.deployments and self.routes)

    @cached_property
    def route_index(self) -> Mapping[Rule, Route]:
        """Which route each rule leads to: made once, since every request asks."""
        found: dict[Rule, Route] = {}
        for name in sorted(self.routes):
            for rule in _rules_of(self.routes[name]):
                found.setdefault(rule, self.routes[name])
        return found

    @cached_property
    def choices(self) -> dict[Asked, Choice | None]:
        """What has been chosen so far. It cannot change while nothing else here does."""
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


def with_object(view: ControlView, obj: Tenant | Deployment | Route | Breaker, version: int) -> ControlView:
    match obj:
        case Tenant():
            return replace(view, tenants={**view.tenants, obj.name: obj}, version=version)
        case Deployment():
            return replace(view, deployments={**view.deployments, obj.name: obj}, version=version)
        case Route():
            return replace(view, routes={**view.routes, obj.name: obj}, version=version)
        case Breaker():
            return replace(view, breakers={**view.breakers, obj.name: obj}, version=version)
        case _ as unreachable:
            assert_never(unreachable)


def without_object(view: ControlView, key: str, version: int) -> ControlView:
    """A tombstone: the object named `kind/name` is gone."""
    kind, _, name = key.partition("/")
    match kind:
        case "tenant":
            return replace(view, tenants={k: v for k, v in view.tenants.items() if k != name}, version=version)
        case "deployment":
            return replace(view, deployments={k: v for k, v in view.deployments.items() if k != name}, version=version)
        case "route":
            return replace(view, routes={k: v for k, v in view.routes.items() if k != name}, version=version)
        case "breaker":
            return replace(view, breakers={k: v for k, v in view.breakers.items() if k != name}, version=version)
        case _:
            return replace(view, version=version)
