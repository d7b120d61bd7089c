"""What traffic would cost: exact for one call, linear in everything else."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.control import Deployment
from schemas.money import Price, PricePeriod, Rates
from schemas.usage import Cost, Usage
from scripts.cli.estimate import mix_of, own_prices
from scripts.cli.fault import Fault
from streams.control import ControlView, with_object
from streams.cost.agreed import Priceable, cost_of
from streams.cost.outlook import Call, NoPrice, Seller, as_measured, mixed, outlook

NOW_MS = 1_795_000_000_000
MINI, HAIKU = Seller("openai", "gpt-4o-mini"), Seller("anthropic", "claude-haiku-4-5")
LISTS = ControlView()
_OURS = Deployment(name="gpus", provider="openai", key_ref="k", models={"llama": "llama-3.3-70b"})
_BY_THE_SECOND = Price(name="gpus", deployments=("gpus",), periods=(PricePeriod(rates=Rates(second_usd="0.001")),))
OWN = with_object(with_object(LISTS, _OURS, 1), _BY_THE_SECOND, 2)


def call(seller: Seller = MINI, used: Usage | None = None, took_ms: int = 999) -> Call:
    sold = Priceable("acme", seller.deployment, seller.provider, (seller.model,), NOW_MS, took_ms)
    return sold, used or Usage(uncached_input_tokens=1_000, text_output_tokens=500)


CALL = call()


def of_now(sold: Priceable, used: Usage) -> Cost:
    return cost_of(LISTS, sold, used)


def test_a_request_costs_what_its_call_costs_less_what_the_cache_answers() -> None:
    (line,) = outlook(mixed([CALL], {MINI: Decimal(1)}), Decimal(3_000), Decimal("0.25"), of_now)
    assert of_now(*CALL).total_usd == Decimal("0.00045")
    assert line.request_usd == Decimal("0.0003375")
    assert (line.month_usd, line.day_usd) == (Decimal("1.0125"), Decimal("0.03375"))
    assert line.input_usd / line.output_usd == Decimal("0.5")


def test_each_model_of_a_mix_gets_its_share_of_the_requests() -> None:
    lines = outlook(mixed([CALL], {MINI: Decimal("0.8"), HAIKU: Decimal("0.2")}), Decimal(1_000), Decimal(0), of_now)
    assert [(line.model, line.requests_a_month) for line in lines] == [("gpt-4o-mini", 800), ("claude-haiku-4-5", 200)]
    assert lines[1].month_usd == 200 * (of_now(*call(HAIKU)).total_usd or 0)


def test_as_measured_each_model_keeps_the_requests_it_had() -> None:
    long = call(HAIKU, Usage(uncached_input_tokens=9_000))
    mini, haiku = sorted(as_measured([CALL, CALL, long]), key=lambda each: -each.share)
    assert (mini.share, list(mini.calls)) == (Decimal(2) / 3, [CALL, CALL])
    assert list(haiku.calls) == [long]


def test_a_model_without_a_price_is_named_and_not_free() -> None:
    with pytest.raises(NoPrice, match="gpt-unheard-of of openai"):
        outlook(mixed([CALL], {Seller("openai", "gpt-unheard-of"): Decimal(1)}), Decimal(1), Decimal(0), of_now)


def test_where_kafka_is_away_the_lists_are_taken_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_servers: str | None) -> None:
        raise Fault("no broker answers")

    monkeypatch.setattr("scripts.cli.estimate.reach", away)
    control, whose = own_prices(None)
    assert not control.prices
    assert whose == "public lists only, as our own could not be read (no broker answers)"


@given(st.lists(st.integers(1, 10_000), min_size=1), st.integers(1, 10**7), st.integers(0, 10))
def test_twice_the_requests_cost_twice_as_much_and_all_from_the_cache_nothing(
    lengths: list[int], requests: int, tenths: int
) -> None:
    portions = mixed([call(used=Usage(uncached_input_tokens=each)) for each in lengths], {MINI: Decimal(1)})

    def month(count: int, rate: Decimal) -> Decimal:
        return outlook(portions, Decimal(count), rate, of_now)[0].month_usd

    rate = Decimal(tenths) / 10
    assert abs(month(2 * requests, rate) - 2 * month(requests, rate)) < Decimal("1e-9")
    assert month(requests, Decimal(1)) == 0
    assert month(requests, rate) <= month(requests, Decimal(0))


def test_a_mix_is_read_with_the_provider_where_the_name_does_not_say_it() -> None:
    given = ["gpt-4o-mini=0.5", "claude-haiku-4-5=0.3", "groq/llama-3.3-70b-versatile=0.1", "gpus/llama-3.3-70b=0.1"]
    groq, ours = Seller("groq", "llama-3.3-70b-versatile"), Seller("openai", "llama-3.3-70b", "gpus")
    assert list(mix_of(given, OWN, NOW_MS)) == [MINI, HAIKU, groq, ours]


def test_a_machine_paid_by_the_second_is_priced_by_how_long_calls_took() -> None:
    ours = Seller("openai", "llama-3.3-70b", "gpus")
    calls = [call(ours, took_ms=1_999), call(ours, took_ms=3_999)]
    (line,) = outlook(as_measured(calls), Decimal(1), Decimal(0), lambda sold, used: cost_of(OWN, sold, used))
    assert line.request_usd == Decimal("0.003")
    assert [version.partition("+")[0] for version in line.price_versions] == ["price/gpus@2"]
    mix = mixed([call(took_ms=1_999)], {ours: Decimal(1)})
    (line,) = outlook(mix, Decimal(1), Decimal(0), lambda sold, used: cost_of(OWN, sold, used))
    assert line.request_usd == Decimal("0.002")


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (["gpt-4o-mini"], "MODEL=SHARE"),
        (["gpt-4o-mini=half"], "a share is a number from 0 to 1"),
        (["gpt-4o-mini=0.5"], "they must make 1"),
        (["gpt-unheard-of=1"], "nobody knows its price"),
    ],
)
def test_a_mix_that_cannot_be_read_says_what_to_write(given: list[str], complaint: str) -> None:
    with pytest.raises(Fault, match=complaint):
        mix_of(given, LISTS, NOW_MS)
