"""The simulator's own price table against the published lists, and its arithmetic."""

import ast
from decimal import Decimal
from pathlib import Path

import pytest
from genai_prices import Usage as ListedUsage
from genai_prices import calc_price

from scripts import simulator
from scripts.simulator.prices import Catalog, Model, Prices
from scripts.simulator.usage import Usage

CATALOG = Catalog.load()
BUCKETS = {
    "input": ListedUsage(input_tokens=1_000),
    "output": ListedUsage(output_tokens=1_000),
    "cache_read": ListedUsage(input_tokens=1_000, cache_read_tokens=1_000),
    "cache_write_5m": ListedUsage(input_tokens=1_000, cache_write_tokens=1_000),
    "cache_write_1h": ListedUsage(input_tokens=1_000, cache_write_tokens=1_000, cache_write_1h_tokens=1_000),
}


@pytest.mark.parametrize("model", CATALOG.table.models, ids=lambda model: model.name)
def test_every_price_equals_the_one_published_today(model: Model) -> None:
    ours = {name: price for name, price in model.prices if price is not None}
    listed = {
        name: calc_price(BUCKETS[name], model_ref=model.name, provider_id=model.provider).total_price * 1_000
        for name in ours
    }
    assert ours == listed


@pytest.mark.parametrize("model", CATALOG.table.models, ids=lambda model: model.name)
def test_a_model_is_priced_under_every_name_it_answers_to(model: Model) -> None:
    usage = ListedUsage(input_tokens=1_000)
    for name in (model.snapshot, *model.aliases):
        if name is not None:
            listed = calc_price(usage, model_ref=name, provider_id=model.provider).total_price
            assert listed == model.prices.input / 1_000


@pytest.mark.parametrize(
    "model", [model for model in CATALOG.table.models if model.long_context], ids=lambda model: model.name
)
def test_a_long_prompt_is_charged_at_the_published_long_context_rate(model: Model) -> None:
    assert model.long_context is not None
    threshold = model.long_context.above_input_tokens
    for prompt in (threshold, threshold + 1):
        usage = Usage(input=prompt, output=500)
        listed = calc_price(
            ListedUsage(input_tokens=prompt, output_tokens=500), model_ref=model.name, provider_id=model.provider
        ).total_price
        assert model.prices_for(usage).cost(usage) == listed


def test_a_call_costs_the_exact_sum_of_its_buckets() -> None:
    prices = Prices(
        input=Decimal(3),
        cache_read=Decimal("0.3"),
        cache_write_5m=Decimal("3.75"),
        cache_write_1h=Decimal(6),
        output=Decimal(15),
    )
    usage = Usage(input=7, cache_read=1_024, cache_write_5m=10, cache_write_1h=3, output=11, reasoning=64)
    # 7*3 + 1024*0.3 + 10*3.75 + 3*6 + (11+64)*15 = 21 + 307.2 + 37.5 + 18 + 1125
    assert prices.cost(usage) == Decimal("0.0015087")


def test_tokens_without_a_price_are_an_error_and_never_free() -> None:
    with pytest.raises(ValueError, match="no cache_write_5m price"):
        Prices(input=Decimal(1)).cost(Usage(input=1, cache_write_5m=5))


def test_a_name_belongs_to_one_provider_only() -> None:
    assert CATALOG.find("openai", "claude-haiku-4-5") is None
    assert CATALOG.find("anthropic", "gpt-4o") is None


def test_a_family_name_is_answered_by_its_snapshot_and_a_snapshot_by_itself() -> None:
    model = CATALOG.find("openai", "gpt-4o")
    assert model is not None
    assert model.answers_as("gpt-4o") == "gpt-4o-2024-08-06"
    assert model.answers_as("gpt-4o-2024-11-20") == "gpt-4o-2024-11-20"


def test_the_oracle_shares_no_code_with_what_it_checks() -> None:
    imported: set[str] = set()
    for path in Path(simulator.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module or "")
    ours = {name for name in imported if name.split(".")[0] in {"streams", "schemas", "sinks", "scripts"}}
    assert {name for name in ours if not name.startswith("scripts.simulator")} == set()
    assert "genai_prices" not in {name.split(".")[0] for name in imported}
