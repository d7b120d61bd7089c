"""Prices of now, for then: added to what was booked, and never twice."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from schemas.adjustment import NOTHING, BookedCall
from schemas.control import Deployment
from schemas.money import Price, PricePeriod, Rates
from schemas.usage import Cost, Usage
from streams.control import ControlView, with_object
from streams.cost.reconciliation import Period, own_id
from streams.cost.repricing import Pricing, agreed_prices, reprice, summed
from streams.cost.settlement import settle
from tests.fakes.booked_calls import booked_call, usage_record


def at(usd: str | None, version: str = "test 2") -> Pricing:
    if usd is None:
        return lambda _call: Cost(status="unpriced", price_version=version)
    return lambda _call: Cost(status="priced", total_usd=Decimal(usd), price_version=version)


def priced_again(call: BookedCall, pricing: Pricing) -> BookedCall:
    found = reprice(call, pricing, "run")
    return call if found is None else call.adjusted(found.adjustment)


def test_the_difference_to_the_amount_so_far_is_added_under_the_new_version() -> None:
    found = reprice(booked_call(), at("0.0008"), "run")
    assert found is not None
    made = found.adjustment
    assert (made.delta_usd, made.before_usd, made.after_usd) == (
        Decimal("-0.0002"),
        Decimal("0.001"),
        Decimal("0.0008"),
    )
    assert (made.kind, made.price_version) == ("reprice", "test 2")


def test_a_call_that_had_no_price_gets_one() -> None:
    unpriced = booked_call(usd=None, cost_status="unpriced")
    found = reprice(unpriced, at("0.0008"), "run")
    assert found is not None
    assert (found.before_usd, found.after_usd) == (None, Decimal("0.0008"))


def test_what_costs_the_same_or_has_no_price_now_is_left_alone() -> None:
    assert reprice(booked_call(), at("0.001"), "run") is None
    assert reprice(booked_call(), at(None), "run") is None


def test_the_same_prices_again_are_no_news() -> None:
    call = priced_again(booked_call(), at("0.0008"))
    assert reprice(call, at("0.0008"), "another run") is None


def test_prices_that_come_back_are_a_step_of_their_own() -> None:
    call = booked_call(usd=None, cost_status="unpriced")
    for usd, version in (("0.0008", "A"), ("0.0009", "B"), ("0.0008", "A"), ("0.0008", "A")):
        call = priced_again(call, at(usd, version))
        assert call.amount_usd == Decimal(usd)
    assert [(each.price_version, each.before_usd, each.after_usd) for each in call.adjustments] == [
        ("A", None, Decimal("0.0008")),
        ("B", Decimal("0.0008"), Decimal("0.0009")),
        ("A", Decimal("0.0009"), Decimal("0.0008")),
    ]


Step = tuple[str, str | None]
"""A price by its version, or what the provider charges (None: it has no such call any more)."""
steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from("ABC"), st.integers(0, 4).map(lambda n: f"{n}e-9")),
        st.tuples(st.just("bill"), st.none() | st.integers(0, 4).map(lambda n: f"{n}e-9")),
    )
)


@given(booked=st.none() | st.integers(0, 4).map(lambda n: f"{n}e-9"), steps=steps)
def test_after_any_prices_and_bills_the_amount_is_the_last_ones_and_the_history_leads_there(
    booked: str | None, steps: list[Step]
) -> None:
    call = booked_call(usd=booked, cost_status="unpriced" if booked is None else "priced")
    period, charged = Period(0, call.started_at_ms + 10_000), False
    for name, usd in steps:
        before = call.amount_usd
        if name == "bill":
            records = [] if usd is None else [usage_record(usd=usd)]
            for each in settle([call], records, (), period, is_complete=True, run_id="r").writes:
                call = call.adjusted(each)
            charged = usd is not None and call.is_settled
            expected = call.amount_without(own_id(call)) if usd is None else Decimal(usd)
        else:
            call = priced_again(call, at(usd, name))
            expected = before if charged or usd is None else Decimal(usd)
        assert call.amount_usd == expected
    repriced = [each for each in call.adjustments if each.kind == "reprice"]
    assert len({each.adjustment_id for each in repriced}) == len(repriced)
    assert sum((each.delta_usd for each in call.adjustments), call.booked_usd or NOTHING) == (call.amount_usd or 0)


def test_what_the_provider_charged_is_changed_by_no_price() -> None:
    call = booked_call()
    period = Period(0, call.started_at_ms + 10_000)
    (adjustment,) = settle([call], [usage_record(usd="0.003")], (), period, is_complete=True, run_id="r").writes
    assert reprice(call.adjusted(adjustment), at("0.0008"), "run") is None


def test_a_call_of_which_nobody_knows_the_usage_keeps_its_price() -> None:
    refused = replace(booked_call(usd="0"), usage=Usage(), usage_source="none")
    lost = replace(booked_call(usd=None), usage=Usage())
    assert reprice(refused, at("0.0008"), "run") is None
    assert reprice(lost, at("0.0008"), "run") is None


def test_a_machine_paid_by_the_second_is_paid_for_a_call_without_tokens_too() -> None:
    by_the_second = Price(name="gpus", periods=(PricePeriod(rates=Rates(second_usd="0.001")),))
    call = replace(booked_call(usd=None, cost_status="unpriced"), usage=Usage(), provider_ms=1_999)
    found = reprice(call, agreed_prices(with_object(CONFIGURED, by_the_second, 117)), "run")
    assert found is not None
    assert found.after_usd == Decimal("0.002")


MAIN = Deployment(name="openai-main", provider="openai", key_ref="k", models={"fast": "gpt-4o-mini", "smart": "gpt-4o"})
CONFIGURED = with_object(ControlView(), MAIN, 3)


def test_the_list_knows_a_new_snapshot_by_the_name_that_was_sent_and_never_by_what_the_client_asked_for() -> None:
    named = replace(booked_call(), model_used="gpt-4o-mini-never-heard-of-xyz", model_requested="smart")
    pricing = agreed_prices(CONFIGURED)
    assert pricing(named).total_usd == pricing(booked_call()).total_usd == Decimal("0.000450000")
    stood_in = replace(booked_call(), model_used="brand-new-llm", model_requested="gpt-4o")
    assert pricing(stood_in).status == "unpriced"


def test_what_was_sent_and_as_whose_it_was_priced_is_taken_from_the_row_and_not_from_the_deployments_of_now() -> None:
    sold = replace(booked_call(), model_used="brand-new-llm", model_sent="gpt-4o-mini", price_as="openai")
    assert agreed_prices(ControlView())(sold).total_usd == Decimal("0.000450000")
    elsewhere = replace(sold, model_sent="llama-3.3-70b-versatile", price_as="groq")
    assert agreed_prices(CONFIGURED)(elsewhere).status == "priced"


def test_a_call_by_a_deployment_that_is_gone_is_left_alone() -> None:
    assert agreed_prices(ControlView())(booked_call()).status == "unpriced"
    assert reprice(booked_call(), agreed_prices(ControlView()), "run") is None


def test_what_was_booked_by_a_negotiated_price_of_the_sent_name_is_not_moved_by_pricing_it_again() -> None:
    period = PricePeriod(from_ms=0, discount="0.5")
    negotiated = Price(name="ours", models=("gpt-4o-mini",), periods=(period,))
    call = replace(booked_call(usd="0.000225"), model_used="gpt-4o-mini-2024-07-18")
    assert reprice(call, agreed_prices(with_object(CONFIGURED, negotiated, 117)), "run") is None


def test_a_deployment_may_be_priced_as_somebody_else() -> None:
    call = replace(booked_call(), model_used="llama-3.3-70b-versatile", deployment="groq-main")
    groq = Deployment(
        name="groq-main",
        provider="openai",
        key_ref="k",
        models={"m": "m"},
        price_as="groq",
    )
    assert agreed_prices(ControlView())(call).status == "unpriced"
    assert agreed_prices(with_object(ControlView(), groq, 3))(call).status == "priced"


def test_what_was_negotiated_counts_from_when_it_was_agreed_and_is_named_in_the_version() -> None:
    call = booked_call(usd="0.00045")
    agreed = Price(name="ours", periods=(PricePeriod(from_ms=call.started_at_ms, discount="0.5"),))
    pricing = agreed_prices(with_object(CONFIGURED, agreed, 117))
    found = reprice(call, pricing, "run")
    assert found is not None
    assert found.after_usd == Decimal("0.000225")
    assert (found.adjustment.price_version or "").startswith("price/ours@117")
    assert reprice(replace(call, started_at_ms=call.started_at_ms - 1), pricing, "run") is None


def test_differences_are_summed_by_tenant_and_model_and_only_what_is_news() -> None:
    calls = [booked_call(1), booked_call(2, usd=None, cost_status="unpriced"), booked_call(3, tenant_id="globex")]
    known = priced_again(booked_call(4), at("0.0008"))
    repriced = [found for call in (*calls, known) if (found := reprice(call, at("0.0008"), "run"))]
    acme, globex = summed(repriced)
    assert (acme.tenant_id, acme.changed, acme.newly_priced) == ("acme", 2, 1)
    assert (acme.before_usd, acme.after_usd, acme.difference_usd) == tuple(map(Decimal, ("0.001", "0.0016", "0.0006")))
    assert globex.difference_usd == Decimal("-0.0002")
