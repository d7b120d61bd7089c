"""What a model cannot do, where data may not go and what must not be spent is never asked, whatever else fails."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.flow import NO_NEEDS, Needs
from schemas.money import Price, PricePeriod, Rates
from schemas.routing import Features
from streams.control import ControlView, with_object
from streams.routing.choose import is_unconditional, may_be_asked, reason_of, select, unservable
from streams.routing.reasons import (
    AnswerTooLong,
    Cap,
    Lacks,
    NoModel,
    OtherRegion,
    OtherTier,
    PassedOver,
    TooDear,
    TooLong,
    Unpriced,
    no_target,
)
from tests.unit.examples import NOW_MS, control, deployment, route, tenant
from tests.unit.routing import (
    ALL,
    CHEAP,
    CHEAP_USD,
    DEAR,
    DEAR_USD,
    MIDDLE_USD,
    choice_in,
    inquiry,
    left,
    offering,
    qualified,
    three,
)

PLAIN = Features(tools=False, images=False, structured_output=False, context_tokens=1_000, max_output_tokens=100)


def beside_a_plain_one(features: Features = PLAIN) -> ControlView:
    return control(offering("plain", CHEAP, features), offering("able", DEAR), route("default", "plain", "able"))


@pytest.mark.parametrize(
    ("needs", "tokens", "reason"),
    [
        (Needs(tools=True), 10, Lacks("tools")),
        (Needs(images=True), 10, Lacks("images")),
        (Needs(structured_output=True), 10, Lacks("structured_output")),
        (Needs(max_tokens=101), 10, AnswerTooLong(101, 100)),
        (Needs(max_tokens=100), 901, TooLong(1_001, 1_000)),
        (NO_NEEDS, 1_000, TooLong(1_001, 1_000)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_model_that_cannot_do_it_is_passed_over_for_one_that_can(needs: Needs, tokens: int, reason: Any) -> None:
    found = qualified(beside_a_plain_one(), needs, input_tokens=tokens)

    assert left(found) == ["able"]
    assert found.passed_over == (PassedOver("plain", "gpt-5-mini", reason),)


@pytest.mark.parametrize(
    ("needs", "tokens"),
    [(NO_NEEDS, 999), (Needs(max_tokens=100), 900), (Needs(max_tokens=1), 1)],
    ids=["a prompt that leaves room for a word", "both to the last token", "next to nothing"],
)
def test_what_just_fits_is_asked(needs: Needs, tokens: int) -> None:
    assert left(qualified(beside_a_plain_one(), needs, input_tokens=tokens)) == ["plain", "able"]


def test_of_what_nobody_has_said_how_much_it_takes_nothing_is_too_much() -> None:
    demanding = Needs(max_tokens=900_000, tools=True, images=True, structured_output=True)

    assert left(qualified(beside_a_plain_one(Features()), demanding, input_tokens=1_000_000)) == ["plain", "able"]


def test_features_are_those_of_the_model_and_not_of_the_deployment() -> None:
    mixed = deployment("mixed", "gpt-5-mini", "small", features={"small": Features(tools=False)})
    configured = control(mixed, route("default", "mixed"))

    assert left(qualified(configured, Needs(tools=True))) == ["mixed"]


@pytest.mark.parametrize(
    ("cap", "asked"),
    [
        (DEAR_USD, ["dear", "cheap", "middle"]),
        (DEAR_USD - Decimal("1e-9"), ["cheap", "middle"]),
        (MIDDLE_USD, ["cheap", "middle"]),
        (CHEAP_USD, ["cheap"]),
        (CHEAP_USD - Decimal("1e-9"), []),
    ],
)
@pytest.mark.parametrize("by", ["request", "tenant", "route"])
def test_nobody_is_asked_who_may_cost_more_than_is_allowed(by: Any, cap: Decimal, asked: list[str]) -> None:
    configured = three(
        tenant(max_request_usd=f"{cap}" if by == "tenant" else None),
        max_request_usd=f"{cap}" if by == "route" else None,
    )
    needs = Needs(max_cost_usd=cap if by == "request" else None)

    found = qualified(configured, needs)

    assert left(found) == asked
    assert {each.reason.cap for each in found.passed_over if isinstance(each.reason, TooDear)} <= {Cap(cap, by)}
    assert len(found.passed_over) == 3 - len(asked)


def test_of_several_caps_the_lowest_counts() -> None:
    configured = three(tenant(max_request_usd="1"), max_request_usd="0.001")

    found = qualified(configured, Needs(max_cost_usd=Decimal("0.003")))

    assert left(found) == ["cheap"]
    assert PassedOver("dear", "gpt-5-mini", TooDear(DEAR_USD, Cap(Decimal("0.001"), "route"))) in found.passed_over


def test_what_a_request_may_cost_grows_with_the_answer_it_allows() -> None:
    configured = three(max_request_usd=f"{MIDDLE_USD}")

    assert left(qualified(configured, Needs(max_tokens=256))) == ["dear", "cheap", "middle"]
    assert left(qualified(configured, Needs(max_tokens=1_024))) == ["cheap"]


def test_where_a_cap_holds_nobody_without_a_price_is_asked_and_a_price_changes_that() -> None:
    configured = control(offering("ours", "llama-of-ours"), route("default", "ours", max_request_usd="0.01"))
    price = Price(name="ours", deployments=("ours",), periods=(PricePeriod(rates=Rates(request_usd="0.01")),))

    assert qualified(configured).passed_over[0].reason == Unpriced(Cap(Decimal("0.01"), "route"))
    assert left(qualified(with_object(configured, price, 20))) == ["ours"]


def test_a_deployment_elsewhere_or_nowhere_does_not_exist_for_a_tenant_whose_data_stays_in_its_region() -> None:
    configured = control(
        tenant(regions=("eu", "eu-north")),
        offering("here", DEAR, region="eu"),
        offering("elsewhere", CHEAP, region="us"),
        offering("nowhere", CHEAP),
        route("default", "elsewhere", "nowhere", "here"),
    )

    choice = choice_in(configured)

    assert [target.deployment for target in choice.targets] == ["here"]
    assert [(each.deployment, each.reason) for each in choice.passed_over] == [
        ("elsewhere", OtherRegion("us", ("eu", "eu-north"))),
        ("nowhere", OtherRegion(None, ("eu", "eu-north"))),
    ]


def test_what_is_kept_for_a_tier_is_asked_for_its_tenants_only() -> None:
    configured = control(
        offering("reserved", DEAR, tiers=("gold",)), offering("shared", CHEAP), route("default", "reserved", "shared")
    )

    assert choice_in(configured).passed_over == (
        PassedOver("reserved", "gpt-5-mini", OtherTier("standard", ("gold",))),
    )
    golden = with_object(configured, tenant(tier="gold"), 20)
    assert [target.deployment for target in choice_in(golden).targets] == ["reserved", "shared"]


@settings(deadline=None)
@given(
    regions=st.lists(st.sampled_from(["eu", "us"]), unique=True),
    cap=st.sampled_from([None, "0.0001", "0.001", "0.01"]),
    needs=st.builds(
        Needs,
        max_tokens=st.none() | st.integers(1, 5_000),
        tools=st.booleans(),
        images=st.booleans(),
        structured_output=st.booleans(),
    ),
    tokens=st.integers(1, 3_000),
    order=st.sampled_from([("given",), ("cheapest",), ("fastest", "weighted"), ("weighted",)]),
)
def test_no_order_ever_brings_back_what_a_constraint_excludes(
    regions: list[str], cap: str | None, needs: Needs, tokens: int, order: tuple[str, ...]
) -> None:
    configured = control(
        tenant(regions=tuple(regions), max_request_usd=cap),
        offering("eu", DEAR, Features(images=False, context_tokens=2_000), region="eu"),
        offering("us", CHEAP, Features(tools=False, max_output_tokens=1_000), region="us"),
        offering("moon", CHEAP),
        route("default", "eu", "us", "moon", order=order),
    )
    asked, choice = inquiry(needs=needs, input_tokens=tokens), choice_in(configured)

    selection = select(choice, asked, configured)

    allowed = {each.deployment for each in may_be_asked(choice, asked, configured)}
    assert sorted(each.deployment for each in selection.targets) == sorted(allowed)
    assert len(selection.targets) + len(selection.passed_over) == 3
    assert not regions or allowed <= set(regions)
    assert not (needs.images and "eu" in allowed)
    assert not (needs.tools and "us" in allowed)
    for target in selection.targets:
        usd = asked.usd(configured, target)
        assert cap is None or (usd is not None and usd <= Decimal(cap))


def test_an_ordinary_route_looks_at_nothing_and_a_request_that_names_a_cap_makes_it_look() -> None:
    configured = three()

    assert is_unconditional(choice_in(configured), NO_NEEDS)
    assert is_unconditional(choice_in(configured), Needs(tools=True, max_tokens=50))
    assert not is_unconditional(choice_in(configured), Needs(max_cost_usd=Decimal(1)))
    for other in (
        three(order=("cheapest",)),
        three(max_request_usd="1"),
        three(refuse_unpriced=True),
        three(tenant(max_request_usd="1")),
        beside_a_plain_one(),
    ):
        assert not is_unconditional(choice_in(other), NO_NEEDS)


def test_what_is_missing_from_the_plan_is_said_in_words_that_rows_can_be_grouped_by() -> None:
    configured = three(tenant(max_request_usd="0.001"))
    choice = choice_in(configured)

    said = [
        reason_of(choice, select(choice, inquiry(input_tokens=tokens), configured).passed_over) for tokens in (10, 11)
    ]

    assert said == ["default route, without dear (cost), middle (cost)"] * 2


def test_a_model_that_a_deployment_never_had_is_no_news() -> None:
    configured = control(deployment("other", "another"), route("default", "other", "openai-1"))
    choice = choice_in(configured)

    assert choice.passed_over == (PassedOver("other", "gpt-5-mini", NoModel()),)
    assert reason_of(choice, choice.passed_over) == "default route"


def test_a_request_is_unservable_only_where_every_target_is_excluded_by_what_it_or_its_tenant_is() -> None:
    demanding = Needs(tools=True)
    helpless = control(offering("plain", CHEAP, PLAIN), route("default", "plain"))

    assert unservable(choice_in(beside_a_plain_one()), inquiry(needs=demanding), beside_a_plain_one()) is None
    assert unservable(choice_in(helpless), inquiry(), helpless) is None
    assert unservable(choice_in(helpless), inquiry(needs=demanding), helpless) is not None
    gone = control(route("for-acme", "gone", tenants=("acme",)))
    assert unservable(choice_in(gone, model="auto"), inquiry(), gone) is None


def test_who_cannot_be_served_is_told_every_target_why_not_and_what_would_do() -> None:
    passed = (
        PassedOver("a", "m", Lacks("images")),
        PassedOver("b", "m", TooDear(Decimal("0.250000000"), Cap(Decimal("0.1"), "request"))),
        PassedOver("c", "m", OtherRegion("us", ("eu",))),
    )

    failure = no_target("smart", passed)

    assert (failure.code, failure.field, failure.retryable) == ("no_target", "messages", False)
    assert failure.message == (
        "no target of route smart can be asked this (m at a: it does not take images; m at b: it may cost 0.25 USD and "
        "max_cost_usd is 0.1; m at c: it is in us and the tenant's data stays in eu): leave out its images, or ask for "
        "another model, or raise max_cost_usd, shorten messages or lower params.max_tokens, or have the operator add a "
        "target where this tenant's data may go"
    )


def test_of_many_targets_a_few_are_named() -> None:
    failure = no_target("wide", [PassedOver(f"d{number}", "m", Lacks("tools")) for number in range(40)])

    assert failure.message.count("does not take tools") == 6
    assert "and 34 more" in failure.message


@pytest.mark.parametrize("name", ALL)
def test_a_price_of_our_own_counts_and_not_the_list(name: str) -> None:
    rates = Rates(input="0.01", output="0.01")
    ours = Price(name="special", deployments=(name,), periods=(PricePeriod(rates=rates),))

    found = qualified(three(ours, max_request_usd="0.0001"))

    assert left(found) == [name]


def test_a_price_in_force_tomorrow_excludes_nobody_today() -> None:
    tomorrow = PricePeriod(from_ms=NOW_MS + 86_400_000, rates=Rates(request_usd="9"))
    configured = three(Price(name="rise", periods=(tomorrow,)), max_request_usd="1")

    assert left(qualified(configured)) == list(ALL)
    assert left(qualified(configured, at_ms=NOW_MS + 86_400_000)) == []


def test_a_missing_price_is_the_operators_to_add_and_refuses_nobody_before_it_must() -> None:
    configured = control(offering("ours", "llama-of-ours"), route("default", "ours", refuse_unpriced=True))

    assert unservable(choice_in(configured), inquiry(), configured) is None
    assert select(choice_in(configured), inquiry(), configured).targets == ()


def test_the_field_that_is_named_is_one_that_the_requester_can_change_where_there_is_any() -> None:
    elsewhere = PassedOver("a", "m", OtherRegion("us", ("eu",)))

    assert no_target("r", [elsewhere, PassedOver("b", "m", Lacks("tools"))]).field == "params.tools"
    assert no_target("r", [elsewhere]).field == "tenant_id"
