"""What traffic would cost: exact for one call, linear in everything else."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.usage import Cost, Usage
from scripts.cli.estimate import mix_of
from scripts.cli.fault import Fault
from streams.cost.outlook import NoPrice, as_measured, mixed, outlook
from streams.cost.price import price

NOW_MS = 1_795_000_000_000
CALL = Usage(uncached_input_tokens=1_000, text_output_tokens=500)
MINI, HAIKU = ("openai", "gpt-4o-mini"), ("anthropic", "claude-haiku-4-5")


def of_now(provider: str, model: str, used: Usage) -> Cost:
    return price(provider, model, used, NOW_MS)


def test_a_request_costs_what_its_call_costs_less_what_the_cache_answers() -> None:
    (line,) = outlook(mixed([CALL], {MINI: Decimal(1)}), Decimal(3_000), Decimal("0.25"), of_now)
    assert of_now(*MINI, CALL).total_usd == Decimal("0.00045")
    assert line.request_usd == Decimal("0.0003375")
    assert (line.month_usd, line.day_usd) == (Decimal("1.0125"), Decimal("0.03375"))
    assert line.input_usd / line.output_usd == Decimal("0.5")


def test_each_model_of_a_mix_gets_its_share_of_the_requests() -> None:
    lines = outlook(mixed([CALL], {MINI: Decimal("0.8"), HAIKU: Decimal("0.2")}), Decimal(1_000), Decimal(0), of_now)
    assert [(line.model, line.requests_a_month) for line in lines] == [("gpt-4o-mini", 800), ("claude-haiku-4-5", 200)]
    assert lines[1].month_usd == 200 * (of_now(*HAIKU, CALL).total_usd or 0)


def test_as_measured_each_model_keeps_the_requests_it_had() -> None:
    long = Usage(uncached_input_tokens=9_000)
    mini, haiku = sorted(as_measured([(*MINI, CALL), (*MINI, CALL), (*HAIKU, long)]), key=lambda each: -each.share)
    assert (mini.share, list(mini.calls)) == (Decimal(2) / 3, [CALL, CALL])
    assert list(haiku.calls) == [long]


def test_a_model_without_a_price_is_named_and_not_free() -> None:
    with pytest.raises(NoPrice, match="gpt-unheard-of of openai"):
        outlook(mixed([CALL], {("openai", "gpt-unheard-of"): Decimal(1)}), Decimal(1), Decimal(0), of_now)


@given(st.lists(st.integers(1, 10_000), min_size=1), st.integers(1, 10**7), st.integers(0, 10))
def test_twice_the_requests_cost_twice_as_much_and_all_from_the_cache_nothing(
    lengths: list[int], requests: int, tenths: int
) -> None:
    portions = mixed([Usage(uncached_input_tokens=each) for each in lengths], {MINI: Decimal(1)})

    def month(count: int, rate: Decimal) -> Decimal:
        return outlook(portions, Decimal(count), rate, of_now)[0].month_usd

    rate = Decimal(tenths) / 10
    assert round(month(2 * requests, rate), 6) == round(2 * month(requests, rate), 6)
    assert month(requests, Decimal(1)) == 0
    assert month(requests, rate) <= month(requests, Decimal(0))


def test_a_mix_is_read_with_the_provider_where_the_name_does_not_say_it() -> None:
    found = mix_of(["gpt-4o-mini=0.5", "claude-haiku-4-5=0.3", "groq/llama-3.3-70b-versatile=0.2"], of_now)
    assert list(found) == [MINI, HAIKU, ("groq", "llama-3.3-70b-versatile")]


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
        mix_of(given, of_now)
