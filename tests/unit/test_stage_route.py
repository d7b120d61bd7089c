"""A plan that names whom to ask in which order, in the lane of its priority; or an honest end."""

from decimal import Decimal
from typing import Any, get_args

import pytest

from schemas.base import dump_json, load_json
from schemas.control import RouteTarget
from schemas.flow import Dispatch, Miss, Needs
from schemas.money import Price, PricePeriod, Rates
from schemas.request import Priority
from schemas.routing import Features
from schemas.topics import DISPATCH
from streams.control import ControlView, with_object, without_object
from streams.runtime.outcome import Park, Record
from streams.runtime.stage import Stateless
from streams.stages.route import decide
from streams.tenancy import LOOK_AGAIN_MS
from tests.unit.examples import (
    NOW_MS,
    admitted,
    breaker,
    control,
    deployment,
    finished,
    forwarded,
    miss,
    route,
    slot_of,
    tenant,
    view,
)
from tests.unit.routing import CHEAP, DEAR, offering, three

THREE = (deployment("a"), deployment("b"), deployment("c"))
MINUTE_MS = 60_000


def sent(event: Miss, configured: ControlView | None = None, *, now_ms: int = NOW_MS) -> Record:
    (record,) = forwarded(decide(event, view(Stateless(), control=configured, now_ms=now_ms)))
    return record


def dispatched(event: Miss, configured: ControlView | None = None) -> Dispatch:
    event_ = sent(event, configured).event
    assert isinstance(event_, Dispatch)
    return event_


def order(configured: ControlView, **changes: Any) -> list[str]:
    return [target.deployment for target in dispatched(miss(**changes), configured).plan.targets]


def test_a_request_whose_tenant_is_not_configured_any_more_is_sent_nowhere() -> None:
    removed = without_object(control(tenant(regions=("eu",)), deployment("us-1", region="us")), "tenant/acme", 60)

    ended = finished(decide(miss(), view(Stateless(), control=removed)))

    assert ended.failure is not None
    assert (ended.status, ended.failure.code, ended.failure.field) == ("failed", "unknown_tenant", "tenant_id")


def test_a_request_of_a_tenant_that_is_newer_than_what_was_read_waits_until_that_is_read() -> None:
    behind, new = without_object(control(), "tenant/acme", 60), miss(config_version=61)

    held = decide(new, view(Stateless(), control=behind))

    assert held == Park("acme/r-1", NOW_MS + LOOK_AGAIN_MS)
    assert order(with_object(behind, tenant(), 61), config_version=61) == ["openai-1"]


def test_a_request_goes_on_with_its_plan_and_all_that_it_carried() -> None:
    slot = slot_of(admitted())
    configured = control(route("default", "openai-1", max_attempts=5, retry_ambiguous=False))

    record = sent(miss(slot=slot), configured, now_ms=NOW_MS + 4)

    event = record.event
    assert isinstance(event, Dispatch)
    assert record.key == "r-1"
    assert (event.slot, event.input_tokens, event.prompt) == (slot, 10, miss().prompt)
    assert event.ticket.stamps["route"] == NOW_MS + 4
    assert event.ticket.config_version == configured.version
    assert (event.plan.route, event.plan.reason) == ("default", "default route")
    assert (event.plan.max_attempts, event.plan.retry_ambiguous) == (5, False)
    assert [target.model for target in event.plan.targets] == ["gpt-5-mini-2026"]


@pytest.mark.parametrize("priority", get_args(Priority))
def test_each_priority_has_its_lane_and_its_time(priority: Priority) -> None:
    configured = control(route(timeout_ms={"high": 1, "normal": 2, "low": 3}))

    record = sent(miss(priority=priority), configured)

    assert record.topic is DISPATCH[priority]
    assert isinstance(record.event, Dispatch)
    assert record.event.plan.timeout_ms == {"high": 1, "normal": 2, "low": 3}[priority]


def test_the_more_specific_route_is_taken_and_its_reason_kept() -> None:
    configured = control(*THREE, route("for-acme", "b", tenants=("acme",), models=("gpt-5-mini",)))

    assert dispatched(miss(), configured).plan.reason == "tenant and model: for-acme"
    assert order(configured) == ["b"]


def test_a_model_left_to_us_is_the_one_the_route_names() -> None:
    chosen = route(targets=(RouteTarget(deployment="openai-1", model="gpt-5-mini"),))

    assert order(control(chosen), model="auto") == ["openai-1"]


def test_targets_whose_breaker_is_open_come_last_in_the_routes_own_order() -> None:
    configured = control(
        *THREE,
        route("default", "a", "b", "c"),
        breaker("a", until_ms=NOW_MS + MINUTE_MS),
        breaker("b", until_ms=NOW_MS + MINUTE_MS),
    )

    assert order(configured) == ["c", "a", "b"]


@pytest.mark.parametrize(
    "changes",
    [{"until_ms": NOW_MS}, {"until_ms": NOW_MS + 1, "state": "half_open"}, {"until_ms": NOW_MS + 1, "state": "closed"}],
    ids=["its time is up", "half open", "closed"],
)
def test_a_breaker_that_lets_calls_through_changes_nothing(changes: dict[str, Any]) -> None:
    configured = control(*THREE, route("default", "a", "b"), breaker("a", **changes))

    assert order(configured) == ["a", "b"]


def test_with_every_breaker_open_there_is_a_plan_all_the_same() -> None:
    configured = control(*THREE, route("default", "a"), breaker("a", until_ms=NOW_MS + MINUTE_MS))

    assert order(configured) == ["a"]


def test_a_deployment_that_is_gone_is_passed_over() -> None:
    assert order(control(*THREE, route("default", "gone", "b"))) == ["b"]


@pytest.mark.parametrize(
    ("configured", "says"),
    [
        (control(route("for-acme", "gone", tenants=("acme",))), "route for-acme has no deployment for model 'auto'"),
        (with_object(ControlView(), tenant(), 2), "no route for model 'auto'"),
    ],
    ids=["its deployments are gone", "the route itself is gone"],
)
def test_where_nothing_leads_any_more_the_request_ends_and_those_who_wait_for_it_are_told(
    configured: ControlView, says: str
) -> None:
    slot = slot_of(admitted())

    completion = finished(decide(miss(model="auto", slot=slot), view(Stateless(), control=configured)))

    assert completion.status == "failed"
    assert completion.failure is not None
    assert (completion.failure.code, completion.failure.field) == ("no_route", "model")
    assert says in completion.failure.message
    assert completion.slot == slot


def test_a_request_whose_deadline_passed_on_the_way_is_not_asked() -> None:
    slot = slot_of(admitted())

    completion = finished(decide(miss(deadline_ms=NOW_MS, slot=slot), view(Stateless())))

    assert completion.status == "expired"
    assert completion.failure is not None
    assert (completion.failure.code, completion.failure.field) == ("deadline_exceeded", "deadline_ms")
    assert completion.slot == slot


def test_a_request_with_time_left_is_asked() -> None:
    assert order(control(), deadline_ms=NOW_MS + 1) == ["openai-1"]


def test_the_same_event_is_decided_the_same_again() -> None:
    configured = control(*THREE, route("default", "a", "b"))

    assert sent(miss(), configured) == sent(miss(), configured)


def test_a_route_that_refuses_unpriced_models_asks_only_those_with_a_price() -> None:
    ours = (
        deployment("ours", models={"gpt-5-mini": "llama-of-ours"}),
        deployment("theirs", models={"gpt-5-mini": "gpt-5-mini"}),
    )
    strict = control(*ours, route("default", "ours", "theirs", refuse_unpriced=True))
    by_the_second = Price(name="gpus", deployments=("ours",), periods=(PricePeriod(rates=Rates(second_usd="0.001")),))

    assert order(strict) == ["theirs"]
    assert order(with_object(strict, by_the_second, 9)) == ["ours", "theirs"]
    assert order(control(*ours, route("default", "ours", "theirs"))) == ["ours", "theirs"]


def test_without_a_priced_model_the_request_ends_and_says_which_model_and_what_to_do() -> None:
    ours = deployment("ours", models={"gpt-5-mini": "llama-of-ours"})
    slot = slot_of(admitted())
    strict = control(ours, route("default", "ours", refuse_unpriced=True))

    end = finished(decide(miss(slot=slot), view(Stateless(), control=strict)))

    assert (end.status, end.slot) == ("failed", slot)
    assert end.failure is not None
    assert (end.failure.code, end.failure.field, end.failure.retryable) == ("unpriced_model", "model", False)
    assert "llama-of-ours at ours" in end.failure.message
    assert "add a price object" in end.failure.message


def test_a_price_that_begins_tomorrow_is_none_today() -> None:
    ours = deployment("ours", models={"gpt-5-mini": "llama-of-ours"})
    tomorrow = PricePeriod(from_ms=NOW_MS + 86_400_000, rates=Rates(second_usd="0.001"))
    strict = control(ours, route("default", "ours", refuse_unpriced=True))
    strict = with_object(strict, Price(name="gpus", periods=(tomorrow,)), 9)

    assert finished(decide(miss(), view(Stateless(), control=strict))).failure is not None
    assert sent(miss(), strict, now_ms=NOW_MS + 86_400_000)


def test_the_plan_says_why_its_targets_are_where_they_are_and_what_is_not_among_them() -> None:
    configured = three(tenant(max_request_usd="0.003"), order=("cheapest",))

    made = dispatched(miss(), configured).plan

    assert made.reason == "default route, without dear (cost)"
    assert [(target.deployment, target.why) for target in made.targets] == [
        ("cheap", "cheapest 1/2"),
        ("middle", "cheapest 2/2"),
    ]


def test_what_a_request_needs_decides_where_it_may_go() -> None:
    configured = control(
        offering("plain", CHEAP, Features(tools=False)), offering("able", DEAR), route("default", "plain", "able")
    )

    assert order(configured) == ["plain", "able"]
    assert order(configured, needs=Needs(tools=True)) == ["able"]


def test_a_request_nobody_may_be_asked_ends_with_every_target_and_why_and_whoever_waits_is_told() -> None:
    slot = slot_of(admitted())

    end = finished(decide(miss(slot=slot), view(Stateless(), control=three(tenant(max_request_usd="0.0001")))))

    assert (end.status, end.slot) == ("failed", slot)
    assert end.failure is not None
    assert (end.failure.code, end.failure.field, end.failure.retryable) == ("no_target", "params.max_tokens", False)
    for name in ("dear", "cheap", "middle"):
        assert f"gpt-5-mini at {name}: it may cost" in end.failure.message


def test_who_waits_for_a_request_that_names_a_cap_of_its_own_is_not_held_to_it() -> None:
    """`rejected` ends a flight without an end for those who wait: see `_look_up` in the cache stage."""
    needs = Needs(max_cost_usd=Decimal("0.0001"))

    end = finished(decide(miss(slot=slot_of(admitted()), needs=needs), view(Stateless(), control=three())))

    assert end.status == "rejected"
    assert end.failure is not None
    assert end.failure.field == "max_cost_usd"


def test_an_event_of_a_process_that_knows_of_no_needs_is_routed_as_one_without_any() -> None:
    older = load_json(miss().encode())
    assert isinstance(older, dict)
    del older["needs"]

    assert dispatched(Miss.decode(dump_json(older))).plan == dispatched(miss()).plan


@pytest.mark.parametrize(
    ("said", "retried"),
    [
        ({}, {"high", "normal"}),
        ({"on_uncertain": "retry"}, {"high", "normal", "low"}),
        ({"on_uncertain": "fail"}, set[str]()),
        ({"retry_ambiguous": True}, {"high", "normal", "low"}),
        ({"retry_ambiguous": False}, set[str]()),
    ],
)
def test_what_may_have_been_paid_already_is_asked_again_where_somebody_waits_for_it_or_the_route_says_so(
    said: dict[str, Any], retried: set[str]
) -> None:
    configured = control(route("default", "openai-1", **said))

    found = {each for each in get_args(Priority) if dispatched(miss(priority=each), configured).plan.retry_ambiguous}

    assert found == retried


def test_a_route_says_only_once_what_becomes_of_an_uncertain_call() -> None:
    with pytest.raises(ValueError, match="retry_ambiguous is the older name of on_uncertain: leave it out"):
        route("default", "openai-1", on_uncertain="fail", retry_ambiguous=True)
