"""What a call costs by the prices that were agreed on: the most specific, of its own time, exact to the last digit."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.flow import Target
from schemas.money import Price, PricePeriod, Rates
from schemas.usage import Usage
from streams.control import ControlView, with_object
from streams.cost.agreed import Priceable, cost_of, estimated_usd, has_price
from streams.cost.price import price, price_version

NOW_MS = 1_795_219_200_000  # 2026-11-21
CALL = Priceable("acme", "openai-1", "openai", ("gpt-4o-2024-08-06", "gpt-4o"), NOW_MS, 1_500)
USED = Usage(uncached_input_tokens=1_000_000, text_output_tokens=100_000)
AGREED = Rates(input="2", output="8")
TARGET = Target(deployment="openai-1", provider="openai", model="gpt-4o")


def agreed(name: str = "ours", *, rates: Rates | None = AGREED, periods: Any = None, **facts: Any) -> Price:
    terms = {key: facts.pop(key) for key in ("discount", "margin") if key in facts}
    return Price(name=name, periods=periods or (PricePeriod(rates=rates, **terms),), **facts)


def view(*prices: Price) -> ControlView:
    found = ControlView()
    for offset, each in enumerate(prices, 117):
        found = with_object(found, each, offset)
    return found


def total(*prices: Price, call: Priceable = CALL, used: Usage = USED) -> Decimal | None:
    return cost_of(view(*prices), call, used).total_usd


def test_without_a_price_of_our_own_the_list_decides() -> None:
    assert cost_of(view(), CALL, USED) == price("openai", "gpt-4o-2024-08-06", USED, NOW_MS)
    assert cost_of(view(agreed(tenants=("globex",))), CALL, USED) == price("openai", "gpt-4o", USED, NOW_MS)


def test_a_name_newer_than_every_price_costs_what_was_asked_for() -> None:
    call = replace(CALL, models=("gpt-nobody-has", "gpt-4o"))

    assert total(call=call) == Decimal("3.5")
    assert cost_of(view(), replace(CALL, models=("gpt-nobody-has",)), USED).status == "unpriced"


def test_negotiated_rates_are_paid_and_the_list_price_stays_beside_them() -> None:
    cost = cost_of(view(agreed()), CALL, USED)

    assert (cost.input_usd, cost.output_usd, cost.total_usd) == (Decimal(2), Decimal("0.8"), Decimal("2.8"))
    assert (cost.list_usd, cost.charged_usd, cost.status) == (Decimal("3.5"), None, "priced")
    assert cost.price_version == f"price/ours@117+{price_version()}"


def test_a_discount_is_taken_off_the_list_or_off_the_rates() -> None:
    assert total(agreed(rates=None, discount="0.1")) == Decimal("3.15")
    assert total(agreed(discount="0.5")) == Decimal("1.4")


def test_a_discount_is_taken_off_the_tier_that_served() -> None:
    served = replace(CALL, models=("gpt-5",), service_tier="flex")
    cost = cost_of(view(agreed(rates=None, discount="0.5")), served, USED)

    assert (cost.total_usd, cost.list_usd) == (Decimal("0.5625"), Decimal("2.25"))


def test_a_margin_is_charged_on_top_and_does_not_change_what_is_owed() -> None:
    cost = cost_of(view(agreed(rates=None, margin="0.2")), CALL, USED)

    assert (cost.total_usd, cost.charged_usd) == (Decimal("3.5"), Decimal("4.2"))


def test_a_machine_of_ones_own_is_paid_by_the_second() -> None:
    call = replace(CALL, models=("llama",), duration_ms=1_501)

    cost = cost_of(view(agreed(rates=Rates(second_usd="0.0004", request_usd="0.001"))), call, USED)

    begun_ms = Decimal("0.0016008")  # the millisecond that had begun is paid
    assert (cost.total_usd, cost.input_usd, cost.output_usd) == (begun_ms, begun_ms, 0)
    assert cost.list_usd is None


def test_buckets_without_a_rate_cost_what_the_wider_one_does() -> None:
    every = Usage(
        uncached_input_tokens=1,
        cache_read_tokens=1,
        cache_write_5m_tokens=1,
        cache_write_1h_tokens=1,
        image_input_tokens=1,
        audio_input_tokens=1,
        text_output_tokens=1,
        reasoning_tokens=1,
        audio_output_tokens=1,
    )

    assert total(agreed(), used=every) == Decimal("0.000036")
    narrower = Rates(input="2", cache_read="1", cache_write_5m="3", output="8", reasoning="9", audio_output="10")
    assert total(agreed(rates=narrower), used=every) == Decimal("0.000040")
    assert total(agreed(rates=Rates(cache_write_5m="3", request_usd="0")), used=every) == Decimal("0.000006")


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ({}, {"provider": "openai"}),
        ({"provider": "openai"}, {"models": ("gpt-4o",)}),
        ({"models": ("gpt-4o",)}, {"models": ("gpt-4o-2024-08-06",)}),
        ({"models": ("gpt-4o-2024-08-06",), "provider": "openai"}, {"deployments": ("openai-1",)}),
        ({"deployments": ("openai-1",), "models": ("gpt-4o",)}, {"tenants": ("acme",)}),
        ({"tenants": ("acme",)}, {"tenants": ("acme", "globex"), "provider": "openai"}),
    ],
)
def test_the_more_specific_price_wins(less: dict[str, Any], more: dict[str, Any]) -> None:
    prices = agreed("a", rates=Rates(input="1", output="1"), **less), agreed("b", **more)

    assert total(*prices) == Decimal("2.8")


def test_of_equals_the_first_by_name_wins_whatever_was_written_first() -> None:
    assert total(agreed("b", discount="0.5"), agreed("a")) == Decimal("2.8")


@pytest.mark.parametrize(
    "other",
    [{"provider": "azure"}, {"models": ("gpt-5",)}, {"deployments": ("openai-2",)}, {"tenants": ("globex",)}],
)
def test_a_price_for_other_calls_says_nothing_of_this_one(other: dict[str, Any]) -> None:
    assert total(agreed(**other)) == Decimal("3.5")


def test_what_was_in_force_when_the_call_was_made_counts() -> None:
    periods = (PricePeriod(from_ms=1_000, rates=AGREED), PricePeriod(from_ms=2_000, rates=Rates(input="1", output="4")))
    prices = agreed(periods=periods), agreed("wider", periods=(PricePeriod(discount="0.5"),), provider="openai")

    def at(ms: int) -> Decimal | None:
        return total(*prices, agreed(tenants=("acme",), periods=periods), call=replace(CALL, at_ms=ms))

    assert [at(2_000), at(1_999), at(1_000)] == [Decimal("1.4"), Decimal("2.8"), Decimal("2.8")]
    assert at(999) == total(prices[1], call=replace(CALL, at_ms=999))


def test_a_price_that_fits_into_no_column_is_none() -> None:
    assert cost_of(view(agreed(rates=Rates(input="999999999", output="1"))), CALL, USED).status == "priced"
    huge = replace(USED, uncached_input_tokens=1_000_000_000)
    assert cost_of(view(agreed(rates=Rates(input="999999999", output="1"))), CALL, huge).status == "unpriced"


def test_a_charge_that_fits_into_no_column_is_none_and_the_cost_is_known_all_the_same() -> None:
    found = cost_of(view(agreed(rates=Rates(input="900000000", output="1"), margin="1")), CALL, USED)
    assert (found.status, found.charged_usd) == ("priced", None)
    assert found.total_usd is not None


counts = st.integers(0, 400_000)
usd = st.decimals(0, 200, places=9).map(lambda amount: f"{amount:f}")
share = st.decimals(0, 1, places=6).map(lambda amount: f"{amount:f}")


@given(
    used=st.builds(
        Usage,
        uncached_input_tokens=counts,
        cache_read_tokens=counts,
        cache_write_1h_tokens=counts,
        text_output_tokens=counts,
        reasoning_tokens=counts,
    ),
    rates=st.none() | st.builds(Rates, input=usd, output=usd, reasoning=usd, second_usd=usd),
    discount=share,
    margin=share,
)
def test_components_add_up_to_the_total_to_the_last_digit(
    used: Usage, rates: Rates | None, discount: str, margin: str
) -> None:
    cost = cost_of(view(agreed(rates=rates, discount=discount, margin=margin)), CALL, used)

    parts = [cost.input_usd, cost.cache_read_usd, cost.cache_write_usd, cost.output_usd]
    assert cost.total_usd == sum(part for part in parts if part is not None)
    assert cost.total_usd is not None
    charged = cost.total_usd if cost.charged_usd is None else cost.charged_usd
    assert abs(charged - cost.total_usd * (1 + Decimal(margin))) <= Decimal("0.5e-9")


@given(
    input_tokens=counts,
    read=counts,
    output_tokens=counts,
    reasoned=st.booleans(),
    rates=st.sampled_from([None, AGREED]),
)
def test_an_estimate_is_never_less_than_the_call_it_was_made_for(
    input_tokens: int, read: int, output_tokens: int, *, reasoned: bool, rates: Rates | None
) -> None:
    control = view(agreed(rates=rates, discount="0.123456"))
    used = Usage(
        uncached_input_tokens=input_tokens,
        cache_read_tokens=read,
        text_output_tokens=0 if reasoned else output_tokens,
        reasoning_tokens=output_tokens if reasoned else 0,
    )

    estimate = estimated_usd(control, "acme", TARGET, input_tokens + read, output_tokens, NOW_MS)

    cost = cost_of(control, CALL, used)
    assert estimate is not None
    assert cost.total_usd is not None
    assert estimate >= cost.total_usd - 4 * Decimal("0.5e-9")


def test_an_estimate_counts_what_openai_takes_for_keeping_a_prompt() -> None:
    writing = replace(TARGET, model="gpt-6-cyber")

    assert estimated_usd(view(), "acme", writing, 1_000_000, 0, NOW_MS) == Decimal(25)


def test_an_estimate_takes_a_prompt_for_images_where_those_are_dearer() -> None:
    control = view(agreed(rates=Rates(input="1", image_input="100", output="1")))
    asked = Usage(image_input_tokens=1_000, text_output_tokens=10)

    assert estimated_usd(control, "acme", TARGET, 1_000, 10, NOW_MS) == cost_of(control, CALL, asked).total_usd


def test_a_call_paid_by_the_second_is_estimated_at_a_minute() -> None:
    control = view(agreed(rates=Rates(second_usd="0.001"), margin="1"))

    assert estimated_usd(control, "acme", TARGET, 5, 5, NOW_MS) == Decimal("0.060001")


def test_nobody_estimates_what_nobody_knows_the_price_of() -> None:
    unknown = replace(TARGET, model="gpt-nobody-has")

    assert estimated_usd(view(), "acme", unknown, 1, 1, NOW_MS) is None
    assert not has_price(view(agreed(rates=None, discount="0.5")), "acme", unknown, NOW_MS)
    assert has_price(view(agreed()), "acme", unknown, NOW_MS)
    assert has_price(view(), "acme", TARGET, NOW_MS)
