"""A provider's usage block in buckets that never overlap and always add up."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from schemas.base import JsonObject
from schemas.usage import Usage
from streams.cost.usage import UnusableUsage, usage

counts = st.integers(0, 10_000_000)


@st.composite
def openai_blocks(draw: st.DrawFn) -> JsonObject:
    """Any block OpenAI could send: details are parts of their total, and media may overlap with what was cached."""
    read, written, rest = draw(counts), draw(counts), draw(counts)
    reasoning, audio_out, text = draw(counts), draw(counts), draw(counts)
    prompt, completion = read + written + rest, reasoning + audio_out + text
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {
            "cached_tokens": read,
            "cache_write_tokens": written,
            "audio_tokens": draw(st.integers(0, prompt)),
            "image_tokens": draw(st.integers(0, prompt)),
        },
        "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": audio_out},
    }


@st.composite
def anthropic_blocks(draw: st.DrawFn) -> JsonObject:
    short, long, thinking, text = draw(counts), draw(counts), draw(counts), draw(counts)
    return {
        "input_tokens": draw(counts),
        "cache_read_input_tokens": draw(st.one_of(st.none(), counts)),
        "cache_creation_input_tokens": short + long,
        "cache_creation": draw(
            st.sampled_from([None, {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long}])
        ),
        "output_tokens": thinking + text,
        "output_tokens_details": draw(st.sampled_from([None, {"thinking_tokens": thinking}])),
    }


@given(openai_blocks())
def test_openais_buckets_add_up_to_openais_total(raw: JsonObject) -> None:
    used = usage("openai", raw)

    assert used.total_tokens == raw["total_tokens"]
    assert used.input_tokens == raw["prompt_tokens"]
    assert used.output_tokens == raw["completion_tokens"]


@given(anthropic_blocks())
def test_anthropics_buckets_add_up_to_anthropics_counts(raw: JsonObject) -> None:
    used = usage("anthropic", raw)

    parts = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    assert used.input_tokens == sum(value for part in parts if isinstance(value := raw[part], int))
    assert used.output_tokens == raw["output_tokens"]


@given(openai_blocks(), st.integers(-10_000_000, 10_000_000))
def test_a_total_that_is_not_that_of_the_parts_is_refused(raw: JsonObject, off: int) -> None:
    total, details = raw["total_tokens"], raw["completion_tokens_details"]
    assert isinstance(total, int)
    assert isinstance(details, dict)
    assume(off not in (0, details["reasoning_tokens"]))

    with pytest.raises(UnusableUsage):
        usage("openai", {**raw, "total_tokens": total + off})


@given(anthropic_blocks(), counts)
def test_cache_writes_that_are_not_the_sum_of_their_lifetimes_are_refused(raw: JsonObject, off: int) -> None:
    written = raw["cache_creation_input_tokens"]
    assert isinstance(written, int)
    assume(off and raw["cache_creation"] is not None)

    with pytest.raises(UnusableUsage):
        usage("anthropic", {**raw, "cache_creation_input_tokens": written + off})


@given(openai_blocks())
def test_reading_a_block_leaves_it_as_it_came(raw: JsonObject) -> None:
    before = deepcopy(raw)
    usage("openai", raw)

    assert raw == before


def test_images_and_audio_that_were_not_cached_are_counted_as_what_they_are() -> None:
    raw: JsonObject = {
        "prompt_tokens": 1_000,
        "completion_tokens": 300,
        "total_tokens": 1_300,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 100, "image_tokens": 765},
        "completion_tokens_details": {"reasoning_tokens": 40, "audio_tokens": 60},
    }

    assert usage("openai", raw) == Usage(
        uncached_input_tokens=135,
        image_input_tokens=765,
        audio_input_tokens=100,
        text_output_tokens=200,
        reasoning_tokens=40,
        audio_output_tokens=60,
    )


def test_openais_prompt_tokens_include_the_cached_ones() -> None:
    raw: JsonObject = {
        "prompt_tokens": 2_006,
        "completion_tokens": 300,
        "total_tokens": 2_306,
        "prompt_tokens_details": {"cached_tokens": 1_920, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 192, "accepted_prediction_tokens": 5},
    }

    assert usage("openai", raw) == Usage(
        uncached_input_tokens=86, cache_read_tokens=1_920, text_output_tokens=108, reasoning_tokens=192
    )


def test_openais_cache_writes_are_the_short_lived_kind() -> None:
    raw: JsonObject = {
        "prompt_tokens": 3_300,
        "completion_tokens": 1,
        "total_tokens": 3_301,
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 3_207},
    }

    assert usage("openai", raw) == Usage(uncached_input_tokens=93, cache_write_5m_tokens=3_207, text_output_tokens=1)


def test_a_cached_image_is_counted_once_and_as_cached() -> None:
    raw: JsonObject = {
        "prompt_tokens": 1_100,
        "completion_tokens": 1,
        "prompt_tokens_details": {"cached_tokens": 1_024, "image_tokens": 765},
    }

    assert usage("openai", raw) == Usage(cache_read_tokens=1_024, image_input_tokens=76, text_output_tokens=1)


def test_reasoning_that_a_compatible_endpoint_counts_beside_the_completion_is_output_too() -> None:
    raw: JsonObject = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 35,
        "completion_tokens_details": {"reasoning_tokens": 20},
    }

    assert usage("openai", raw) == Usage(uncached_input_tokens=10, text_output_tokens=5, reasoning_tokens=20)


def test_anthropics_input_tokens_exclude_the_cache() -> None:
    raw: JsonObject = {
        "input_tokens": 100,
        "cache_read_input_tokens": 1_000,
        "cache_creation_input_tokens": 5_000,
        "cache_creation": {"ephemeral_5m_input_tokens": 2_000, "ephemeral_1h_input_tokens": 3_000},
        "output_tokens": 40,
        "output_tokens_details": {"thinking_tokens": 30},
        "service_tier": "standard",
    }

    assert usage("anthropic", raw) == Usage(
        uncached_input_tokens=100,
        cache_read_tokens=1_000,
        cache_write_5m_tokens=2_000,
        cache_write_1h_tokens=3_000,
        text_output_tokens=10,
        reasoning_tokens=30,
    )


def test_cache_writes_without_a_lifetime_live_five_minutes() -> None:
    raw: JsonObject = {"input_tokens": 1, "cache_creation_input_tokens": 9, "output_tokens": 1}

    assert usage("anthropic", raw).cache_write_5m_tokens == 9


OPENAI: dict[str, Any] = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
ANTHROPIC: dict[str, Any] = {"input_tokens": 10, "output_tokens": 5}


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        (None, "usage"),
        ({}, "prompt_tokens"),
        ({**OPENAI, "prompt_tokens": None}, "prompt_tokens"),
        ({**OPENAI, "completion_tokens": "5"}, "completion_tokens"),
        ({**OPENAI, "completion_tokens": -5}, "completion_tokens"),
        ({**OPENAI, "completion_tokens": True}, "completion_tokens"),
        ({**OPENAI, "completion_tokens": 5.5}, "completion_tokens"),
        ({**OPENAI, "total_tokens": 14}, "total_tokens"),
        ({**OPENAI, "total_tokens": 16}, "total_tokens"),
        ({**OPENAI, "prompt_tokens_details": [1]}, "prompt_tokens_details.cached_tokens"),
        ({**OPENAI, "prompt_tokens_details": {"cached_tokens": 11}}, "prompt_tokens_details"),
        ({**OPENAI, "prompt_tokens_details": {"cached_tokens": 6, "cache_write_tokens": 5}}, "prompt_tokens_details"),
        ({**OPENAI, "completion_tokens_details": {"reasoning_tokens": 6}}, "completion_tokens_details"),
    ],
)
def test_a_block_of_openais_that_does_not_add_up_is_named_and_never_taken_for_zero(raw: Any, key: str) -> None:
    with pytest.raises(UnusableUsage) as caught:
        usage("openai", raw)

    assert caught.value.key == key
    assert key in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        (None, "usage"),
        ({"output_tokens": 1}, "input_tokens"),
        ({"input_tokens": 1}, "output_tokens"),
        ({**ANTHROPIC, "cache_read_input_tokens": "many"}, "cache_read_input_tokens"),
        ({**ANTHROPIC, "output_tokens_details": {"thinking_tokens": 6}}, "output_tokens_details.thinking_tokens"),
        (
            {
                **ANTHROPIC,
                "cache_creation_input_tokens": 9,
                "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 4},
            },
            "cache_creation",
        ),
    ],
)
def test_a_block_of_anthropics_that_does_not_add_up_is_named_and_never_taken_for_zero(raw: Any, key: str) -> None:
    with pytest.raises(UnusableUsage) as caught:
        usage("anthropic", raw)

    assert caught.value.key == key


def test_a_whole_number_may_be_written_as_a_decimal() -> None:
    assert usage("anthropic", {"input_tokens": 10.0, "output_tokens": 5}).uncached_input_tokens == 10


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 50), st.floats(-5, 50), st.text(max_size=3)),
    lambda children: st.dictionaries(
        st.sampled_from(["cached_tokens", "reasoning_tokens", "ephemeral_5m_input_tokens"]), children, max_size=3
    ),
    max_leaves=4,
)


@given(
    st.sampled_from(["openai", "anthropic"]),
    st.dictionaries(
        st.sampled_from(
            [
                "prompt_tokens",
                "completion_tokens",
                "total_tokens",
                "prompt_tokens_details",
                "completion_tokens_details",
                "input_tokens",
                "output_tokens",
                "cache_creation",
                "cache_creation_input_tokens",
            ]
        ),
        json_values,
    ),
)
def test_any_block_gives_buckets_or_a_typed_error(provider: Any, raw: Any) -> None:
    try:
        total = usage(provider, raw).total_tokens
    except UnusableUsage:
        total = 0

    assert total >= 0
