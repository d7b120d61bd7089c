"""What tokens cost: exact, of the right day and tier, and never 0 for want of a price."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import genai_prices
import pytest
from genai_prices.data_snapshot import DataSnapshot, get_snapshot, set_custom_snapshot
from genai_prices.types import ClauseEquals, ModelInfo, ModelPrice, Provider
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.usage import Cost, Usage
from streams.cost.price import price, price_version

NOW_MS = 1_795_219_200_000  # 2026-11-21
counts = st.one_of(st.just(0), st.integers(1, 400_000))
usages = st.builds(
    Usage,
    uncached_input_tokens=counts,
    cache_read_tokens=counts,
    cache_write_5m_tokens=counts,
    cache_write_1h_tokens=counts,
    image_input_tokens=counts,
    audio_input_tokens=counts,
    text_output_tokens=counts,
    reasoning_tokens=counts,
    audio_output_tokens=counts,
)
OURS = ("openai", "anthropic", "azure", "groq", "mistral", "deepseek", "google", "openrouter", "perplexity")
MODELS = [
    (provider.id, model)
    for provider in get_snapshot().providers
    if provider.id in OURS
    for model in provider.models
    if model.prices
]


def components(cost: Cost) -> list[Decimal]:
    parts = (cost.input_usd, cost.cache_read_usd, cost.cache_write_usd, cost.output_usd)
    return [part for part in parts if part is not None]


def test_openais_cached_tokens_are_cheaper() -> None:
    used = Usage(uncached_input_tokens=86, cache_read_tokens=1_920, text_output_tokens=108, reasoning_tokens=192)

    assert price("openai", "gpt-4o-2024-08-06", used, NOW_MS, "default") == Cost(
        status="priced",
        input_usd=Decimal("0.000215"),
        cache_read_usd=Decimal("0.0024"),
        cache_write_usd=Decimal(0),
        output_usd=Decimal("0.003"),
        total_usd=Decimal("0.005615"),
        list_usd=Decimal("0.005615"),
        price_version=price_version(),
    )


def test_anthropics_cache_writes_cost_by_how_long_they_live() -> None:
    used = Usage(
        uncached_input_tokens=100,
        cache_read_tokens=1_000,
        cache_write_5m_tokens=2_000,
        cache_write_1h_tokens=3_000,
        text_output_tokens=10,
        reasoning_tokens=30,
    )

    cost = price("anthropic", "claude-haiku-4-5-20251001", used, NOW_MS, "standard")

    assert components(cost) == [Decimal("0.0001"), Decimal("0.0001"), Decimal("0.0085"), Decimal("0.0002")]
    assert cost.total_usd == Decimal("0.0089")


def test_a_long_prompt_is_dearer_to_its_last_token_and_counts_with_its_cached_part() -> None:
    just = Usage(uncached_input_tokens=50_000, cache_read_tokens=50_000, text_output_tokens=1_000)
    over = replace(just, uncached_input_tokens=50_001)

    assert price("anthropic", "claude-haiku-5-5", just, NOW_MS).output_usd == Decimal("0.0005")
    assert price("anthropic", "claude-haiku-5-5", over, NOW_MS).output_usd == Decimal("0.0025")


@pytest.mark.parametrize(
    ("tier", "total"),
    [
        (None, "0.0135"),
        ("default", "0.0135"),
        ("auto", "0.0135"),
        ("flex", "0.00675"),
        ("batch", "0.00675"),
        ("priority", "0.027"),
    ],
)
def test_the_tier_that_served_decides_and_the_list_price_is_the_standard_one(tier: str | None, total: str) -> None:
    cost = price("openai", "gpt-5", Usage(uncached_input_tokens=2_800, text_output_tokens=1_000), NOW_MS, tier)

    assert cost.total_usd == Decimal(total)
    assert cost.list_usd == Decimal("0.0135")


def test_a_call_is_priced_as_of_its_own_day() -> None:
    used = Usage(uncached_input_tokens=300_000)

    def on(day: datetime) -> Decimal | None:
        return price("anthropic", "claude-sonnet-4-6", used, int(day.timestamp() * 1_000)).total_usd

    assert on(datetime(2026, 3, 12, 23, 59, tzinfo=UTC)) == Decimal("1.8")
    assert on(datetime(2026, 3, 13, tzinfo=UTC)) == Decimal("0.9")


@pytest.mark.parametrize(
    ("provider", "model"), [("openai", "gpt-nobody-has"), ("nobody", "gpt-4o"), ("anthropic", "gpt-4o"), ("openai", "")]
)
def test_an_unknown_model_has_no_price_and_not_the_price_nothing(provider: str, model: str) -> None:
    cost = price(provider, model, Usage(uncached_input_tokens=1), NOW_MS)

    assert cost == Cost(status="unpriced", price_version=price_version())
    assert cost.total_usd is None


def test_tokens_of_a_kind_the_table_has_no_price_for_are_not_free() -> None:
    cost = price("openai", "text-embedding-3-small", Usage(uncached_input_tokens=10, text_output_tokens=10), NOW_MS)

    assert (cost.status, cost.total_usd) == ("unpriced", None)


def test_no_tokens_cost_nothing() -> None:
    assert price("openai", "gpt-4o", Usage(), NOW_MS).total_usd == 0


@pytest.mark.parametrize("tier", [None, "flex", "priority", "batch"])
@settings(max_examples=200)
@given(found=st.sampled_from(MODELS), used=usages, day=st.integers(0, 600))
def test_the_components_add_up_exactly_and_agree_with_the_package(
    tier: str | None, found: tuple[str, ModelInfo], used: Usage, day: int
) -> None:
    provider_id, model = found
    at = datetime.fromtimestamp(NOW_MS / 1_000 - day * 86_400, UTC)
    cost = price(provider_id, model.id, used, int(at.timestamp() * 1_000), tier)
    if cost.total_usd is None:
        return

    assert sum(components(cost)) == cost.total_usd
    assert all(part == round(part, 9) for part in components(cost))
    context = {"batch": {"processing": "batch"}}.get(tier or "", {"service_tier": tier} if tier else None)
    theirs = genai_prices.calc_price(
        _in_the_packages_terms(used),
        model.id,
        provider_id=provider_id,
        genai_request_timestamp=at,
        price_context=context,
    )
    assert abs(theirs.total_price - cost.total_usd) <= 4 * Decimal("0.5e-9")
    assert cost.output_usd is not None
    assert abs(theirs.output_price - cost.output_usd) <= Decimal("0.5e-9")


def _in_the_packages_terms(used: Usage) -> genai_prices.Usage:
    """Totals with the special kinds as parts of them."""
    reported: dict[str, Any] = {
        "input_tokens": used.input_tokens,
        "cache_read_tokens": used.cache_read_tokens,
        "cache_write_tokens": used.cache_write_5m_tokens + used.cache_write_1h_tokens,
        "cache_write_5m_tokens": used.cache_write_5m_tokens,
        "cache_write_1h_tokens": used.cache_write_1h_tokens,
        "input_image_tokens": used.image_input_tokens,
        "input_audio_tokens": used.audio_input_tokens,
        # Our buckets do not overlap, which the package must be told where a model has a price for an overlap.
        "cache_audio_read_tokens": 0,
        "cache_image_read_tokens": 0,
        "output_tokens": used.output_tokens,
        "output_reasoning_tokens": used.reasoning_tokens,
        "output_audio_tokens": used.audio_output_tokens,
    }
    return genai_prices.Usage(**reported)


def test_the_version_names_the_package_and_whose_prices_they_are() -> None:
    assert price_version() == f"genai-prices/{genai_prices.__version__}/bundled"


def test_negotiated_prices_are_used_at_once_and_named_by_their_date() -> None:
    used = Usage(uncached_input_tokens=1_000_000)
    before = price("openai", "gpt-4o", used, NOW_MS)
    ours = ModelInfo(id="gpt-4o", match=ClauseEquals("gpt-4o"), prices=ModelPrice(input_mtok=Decimal("2.25")))
    snapshot = DataSnapshot(
        providers=[Provider(id="openai", name="OpenAI", api_pattern="", models=[ours])],
        from_auto_update=False,
        timestamp=datetime(2026, 11, 1),  # noqa: DTZ001 - the package's own are naive
    )

    set_custom_snapshot(snapshot)
    try:
        negotiated = price("openai", "gpt-4o", used, NOW_MS)
    finally:
        set_custom_snapshot(None)

    assert (before.total_usd, negotiated.total_usd) == (Decimal("2.5"), Decimal("2.25"))
    assert negotiated.price_version == f"genai-prices/{genai_prices.__version__}/2026-11-01"
    assert price("openai", "gpt-4o", used, NOW_MS) == before
