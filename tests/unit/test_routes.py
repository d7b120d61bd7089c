"""The most specific route wins, ties do not depend on the order of configuration, and nothing leads nowhere."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.control import Deployment, Route, RouteTarget, Tenant
from streams.control import ControlView, with_object
from streams.routes import MOST_REMEMBERED, choose_route, targets_of
from streams.routing.choice import Choice
from tests.unit.examples import control, deployment, route, tenant, ticket

SPECIFIC_TO_GENERAL: tuple[tuple[str, dict[str, Any]], ...] = (
    ("tenant and task", {"tenants": ("acme",), "tasks": ("search",)}),
    ("tenant and model", {"tenants": ("acme",), "models": ("auto", "gpt-5-mini")}),
    ("tenant, any model", {"tenants": ("acme",)}),
    ("task", {"tasks": ("search",)}),
    ("model", {"models": ("auto", "gpt-5-mini")}),
    ("default route", {}),
)


def named(position: int) -> str:
    return "default" if position == len(SPECIFIC_TO_GENERAL) - 1 else f"route-{position}"


def routes_from(first: int) -> list[Route]:
    return [route(named(at), **SPECIFIC_TO_GENERAL[at][1]) for at in range(first, len(SPECIFIC_TO_GENERAL))]


def only(*objects: Tenant | Deployment | Route) -> ControlView:
    view = ControlView()
    for version, each in enumerate((deployment(), *objects)):
        view = with_object(view, each, version)
    return view


def choice(view: ControlView, **changes: Any) -> Choice | None:
    return choose_route(view, ticket(**changes))


@pytest.mark.parametrize("first", range(len(SPECIFIC_TO_GENERAL)))
def test_the_most_specific_route_that_is_left_wins(first: int) -> None:
    chosen = choice(only(*routes_from(first)), model="auto", task="search")

    assert chosen is not None
    assert chosen.route.name == named(first)
    assert chosen.reason.startswith(SPECIFIC_TO_GENERAL[first][0])


@settings(deadline=None)
@given(order=st.permutations(routes_from(0)))
def test_the_order_in_which_routes_were_configured_decides_nothing(order: list[Route]) -> None:
    chosen = choice(only(*order), model="auto", task="search")

    assert chosen is not None
    assert chosen.route.name == named(0)


def test_two_routes_as_specific_as_each_other_are_taken_by_name() -> None:
    both = [route(name, models=("gpt-5-mini",)) for name in ("b", "a")]

    for order in itertools.permutations(both):
        chosen = choice(only(*order))
        assert chosen is not None
        assert chosen.route.name == "a"


@pytest.mark.parametrize(
    "constraint", [{"tenants": ("globex",), "tasks": ("search",)}, {"tenants": ("globex",), "models": ("gpt-5-mini",)}]
)
def test_a_route_of_another_tenant_is_never_taken(constraint: dict[str, Any]) -> None:
    view = only(route("theirs", **constraint))

    assert choice(view, task="search") is None
    assert choice(view, task="search", tenant_id=None) is None
    assert choice(view, task="search", tenant_id="globex") is not None


def test_a_task_leads_somewhere_only_when_the_model_is_left_to_us() -> None:
    view = only(route("tasks", tasks=("search",)), route())

    by_task, by_model = choice(view, task="search", model="auto"), choice(view, task="search")

    assert by_task is not None
    assert by_task.route.name == "tasks"
    assert by_model is not None
    assert by_model.route.name == "default"


def test_the_default_route_carries_a_named_model_only_where_a_deployment_has_it() -> None:
    assert choice(only(route())) is not None
    assert choice(only(route()), model="gpt-9") is None
    assert (
        choice(only(Route(name="default", targets=(RouteTarget(deployment="openai-1", model="gpt-5-mini"),)))) is None
    )
    assert choice(only(route("default", "gone"))) is None


def test_a_choice_is_made_anew_when_the_configuration_changes() -> None:
    before = only(route())
    assert choice(before) == choice(before)

    after = with_object(before, route("narrow", models=("gpt-5-mini",)), 9)

    chosen = choice(after)
    assert chosen is not None
    assert chosen.route.name == "narrow"


def test_however_many_models_are_asked_for_few_choices_are_remembered() -> None:
    view = only(route())

    for number in range(MOST_REMEMBERED + 10):
        assert choice(view, model=f"gpt-{number}") is None

    assert len(view.choices) <= MOST_REMEMBERED
    assert choice(view) is not None


def test_without_any_route_there_is_no_choice() -> None:
    assert choice(only()) is None
    assert choice(only(), model="auto") is None


def test_a_route_that_names_no_tenant_task_or_model_is_nobodys_unless_it_is_the_default() -> None:
    assert choice(only(route("spare")), model="auto") is None


def test_targets_keep_the_routes_order_and_bear_each_providers_own_name() -> None:
    view = control(deployment("azure-1", region="eu"), deployment("claude-1", "claude-x", provider="anthropic"))
    mixed = Route(
        name="mixed",
        models=("gpt-5-mini",),
        targets=(
            RouteTarget(deployment="azure-1"),
            RouteTarget(deployment="claude-1", model="claude-x"),
            RouteTarget(deployment="openai-1"),
        ),
    )

    found = targets_of(view, mixed, "gpt-5-mini")

    assert [(target.deployment, target.provider, target.model, target.region) for target in found] == [
        ("azure-1", "openai", "gpt-5-mini-2026", "eu"),
        ("claude-1", "anthropic", "claude-x-2026", None),
        ("openai-1", "openai", "gpt-5-mini-2026", None),
    ]


def test_a_deployment_that_is_gone_or_lacks_the_model_is_left_out() -> None:
    view = control(deployment("other", "another-model"))

    assert targets_of(view, route("r", "gone", "other", "openai-1"), "gpt-5-mini") == targets_of(
        view, route("r", "openai-1"), "gpt-5-mini"
    )
    assert targets_of(view, route("r", "gone"), "gpt-5-mini") == ()


@settings(deadline=None)
@given(
    models=st.sets(st.sampled_from(["auto", "gpt-5-mini", "gpt-9"]), max_size=2),
    tasks=st.sets(st.sampled_from(["search", "chat"]), max_size=1),
    tenants=st.sets(st.sampled_from(["acme", "globex"]), max_size=1),
    model=st.sampled_from(["auto", "gpt-5-mini", "gpt-9", "unheard-of"]),
    task=st.sampled_from([None, "search", "chat"]),
)
def test_a_chosen_route_always_allows_the_request(
    models: set[str], tasks: set[str], tenants: set[str], model: str, task: str | None
) -> None:
    narrow = route("narrow", models=tuple(models), tasks=tuple(tasks), tenants=tuple(tenants))

    chosen = choice(only(narrow), model=model, task=task)

    if chosen is not None:
        assert not tenants or "acme" in tenants
        is_for_any = tenants and not models and not tasks
        assert model in models or task in tasks or (is_for_any and model in {"auto", "gpt-5-mini"})


TIERED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("tenant, any model", {"tenants": ("acme",)}),
    ("tier and task", {"tiers": ("gold", "silver"), "tasks": ("search",)}),
    ("tier and model", {"tiers": ("gold",), "models": ("auto",)}),
    ("tier, any model", {"tiers": ("gold",)}),
    ("task", {"tasks": ("search",)}),
)


@pytest.mark.parametrize("first", range(len(TIERED)))
def test_a_route_of_the_tenants_tier_goes_before_everybodys_and_after_its_own(first: int) -> None:
    routes = [route(f"r-{at}", **rules) for at, (_, rules) in enumerate(TIERED)][first:]

    chosen = choice(only(tenant(tier="gold"), *routes), model="auto", task="search")

    assert chosen is not None
    assert chosen.reason == f"{TIERED[first][0]}: r-{first}"


def test_a_route_of_another_tier_is_never_taken_not_even_as_the_default() -> None:
    view = only(tenant(tier="trial"), route("default", tiers=("gold",)), route("golden", tiers=("gold",)))

    assert choice(view, model="auto") is None
    assert choice(view, model="auto", tenant_id="unheard-of") is None
    assert choice(with_object(view, tenant(tier="gold"), 9), model="auto") is not None


def test_the_default_route_of_some_tenants_is_nobody_elses() -> None:
    view = only(tenant(), tenant("globex"), route("default", tenants=("globex",)))

    assert [choice(view, model=model) for model in ("auto", "gpt-5-mini")] == [None, None]
    assert choice(view, model="auto", tenant_id="unheard-of") is None
    assert choice(view, model="auto", tenant_id="globex") is not None
    assert choice(view, model="gpt-5-mini", tenant_id="globex") is not None


@pytest.mark.parametrize("whose", [{"tenants": ("acme",)}, {"tiers": ("gold",)}], ids=["the tenant's", "its tier's"])
@pytest.mark.parametrize("model", ["gpt-5-mini", None], ids=["named by the target", "left to the request"])
def test_who_names_a_model_does_not_get_past_a_route_for_any(whose: dict[str, Any], model: str | None) -> None:
    own = route("own", targets=(RouteTarget(deployment="acme-key", model=model),), max_request_usd="0.1", **whose)
    everybodys = route("everybodys", models=("gpt-5-mini",))
    view = only(tenant(tier="gold"), deployment("acme-key"), own, everybodys, route())

    chosen = choice(view, model="gpt-5-mini")

    assert chosen is not None
    assert chosen.reason == f"{'tenant' if 'tenants' in whose else 'tier'}, any model: own"
    assert [target.deployment for target in chosen.targets] == ["acme-key"]
    assert [cap.by for cap in chosen.caps] == ["route"]


def test_who_names_a_model_is_never_given_another_by_a_route_for_any() -> None:
    targets = (
        RouteTarget(deployment="two", model="gpt-9"),
        RouteTarget(deployment="two", model="gpt-5-mini"),
        RouteTarget(deployment="two"),
        RouteTarget(deployment="openai-1"),
    )
    view = only(deployment("two", "gpt-9", "gpt-5-mini"), route("own", targets=targets, tenants=("acme",)))

    named, left_to_us = choice(view, model="gpt-5-mini"), choice(view, model="auto")

    assert named is not None
    assert [(target.deployment, target.model) for target in named.targets] == [
        ("two", "gpt-5-mini-2026"),
        ("openai-1", "gpt-5-mini-2026"),
    ]
    assert left_to_us is not None
    assert [target.model for target in left_to_us.targets] == ["gpt-9-2026", "gpt-5-mini-2026"]


def test_what_a_route_for_any_model_cannot_serve_goes_on_as_if_it_were_not_there() -> None:
    own = route("own", targets=(RouteTarget(deployment="two", model="gpt-9"),), tenants=("acme",))
    view = only(deployment("two", "gpt-9"), own, route("alias", models=("fast",)), route())

    alias, carried = choice(view, model="fast"), choice(view, model="gpt-5-mini")

    assert alias is not None
    assert carried is not None
    assert (alias.route.name, carried.route.name) == ("alias", "default")
    assert choice(view, model="unheard-of") is None


def test_a_tenant_that_changes_its_tier_takes_another_route_at_once() -> None:
    view = only(tenant(tier="trial"), route(), route("golden", tiers=("gold",), models=("gpt-5-mini",)))

    before, after = choice(view), choice(with_object(view, tenant(tier="gold"), 9))

    assert before is not None
    assert after is not None
    assert (before.route.name, after.route.name) == ("default", "golden")


def test_a_route_is_for_tenants_or_for_tiers() -> None:
    with pytest.raises(ValidationError, match="make a second route for the tiers"):
        route("both", tenants=("acme",), tiers=("gold",))
