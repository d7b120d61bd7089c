"""What an attempt is booked with: as reported, else estimated, else unknown with an estimate beside. Never 0."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.attempt import Attempt
from schemas.response import FunctionCall, Output, ToolCall
from schemas.usage import Cost, Usage
from streams.cost.booking import book, may_cost
from streams.cost.guess import expected_usage, usage_of_answer, usage_so_far
from streams.cost.ledger import FREE, UNKNOWN
from tests.unit.examples import attempt, control, failed_attempt, plan

LOST: dict[str, Any] = {"error_class": "timeout", "http_status": None, "ambiguous": True}
GUESSED = Usage(uncached_input_tokens=12, text_output_tokens=5)
GUESSED_USD = Decimal("0.000013")
"""At 0.25 and 2 USD a million."""
counts = st.integers(0, 10_000)


def booked(called: Attempt) -> tuple[Attempt, Usage | None, Cost]:
    return book(control(), "acme", plan(), called)


def test_a_lost_call_is_unknown_and_what_it_may_come_to_is_part_of_no_sum() -> None:
    _, used, cost = booked(failed_attempt(**LOST, estimated_usage=GUESSED))

    assert used is None
    assert (cost.status, cost.total_usd, cost.estimated_usd) == ("unknown_billable", None, GUESSED_USD)
    assert (cost.input_usd, cost.output_usd, cost.list_usd, cost.charged_usd) == (None, None, None, None)
    assert cost.price_version is not None


def test_a_call_that_broke_off_in_the_answer_was_billed_and_is_booked_as_estimated() -> None:
    row, used, cost = booked(failed_attempt(**LOST, estimated_usage=GUESSED, answering=True))

    assert (row.usage_source, used) == ("estimated", GUESSED)
    assert (cost.status, cost.total_usd, cost.estimated_usd) == ("estimated", GUESSED_USD, None)


def test_a_partial_report_says_what_the_estimate_leaves_open() -> None:
    reported = {"input_tokens": 12, "output_tokens": 1}
    cut = failed_attempt(
        provider="anthropic",
        model="claude-haiku-4-5",
        error_class="cut_stream",
        ambiguous=True,
        usage_raw=reported,
        usage_source="partial",
        answering=True,
        estimated_usage=GUESSED,
    )

    row, used, cost = booked(cut)

    assert (row.usage_source, used, cost.status) == ("partial", GUESSED, "estimated")
    assert cost.total_usd == Decimal("0.000037")


@pytest.mark.parametrize("reported", [None, {}, {"prompt_tokens": "many"}])
def test_a_whole_answer_without_a_usable_usage_is_estimated(reported: Any) -> None:
    row, used, cost = booked(attempt(usage_raw=reported, estimated_usage=GUESSED))

    assert (used, cost.status, cost.total_usd) == (GUESSED, "estimated", GUESSED_USD)
    assert row.usage_source == "estimated"


def test_an_estimate_never_replaces_what_the_provider_reported() -> None:
    _, used, cost = booked(attempt(estimated_usage=Usage(uncached_input_tokens=99)))

    assert (used, cost.status) == (GUESSED, "priced")


def test_an_estimate_of_a_model_without_a_price_has_none_either() -> None:
    lost = failed_attempt(**LOST, estimated_usage=GUESSED, model="unheard-of")

    assert booked(lost)[2].estimated_usd is None
    assert booked(lost)[2].status == "unknown_billable"
    assert booked(attempt(usage_raw=None, estimated_usage=GUESSED, model="unheard-of"))[2].status == "unpriced"


def test_what_was_turned_away_is_free_whatever_was_expected_of_it() -> None:
    assert booked(failed_attempt(estimated_usage=GUESSED))[2] == FREE


def test_an_attempt_of_an_older_process_is_unknown_without_an_estimate() -> None:
    assert booked(failed_attempt(**LOST))[2] == UNKNOWN
    assert may_cost(control(), "acme", plan(), attempt(usage_raw=None)) == UNKNOWN


@pytest.mark.parametrize(("max_tokens", "output"), [(None, 512), (100, 100), (4_000, 512)])
def test_nothing_heard_is_expected_to_be_a_usual_answer(max_tokens: int | None, output: int) -> None:
    assert expected_usage(30, max_tokens) == Usage(uncached_input_tokens=30, text_output_tokens=output)


def test_the_input_reported_before_the_cut_is_better_than_our_guess() -> None:
    raw: Any = {"input_tokens": 9, "cache_read_input_tokens": 900, "output_tokens": 1}

    got = usage_so_far(expected_usage(30, 100), "anthropic", raw, 25)

    assert got == Usage(uncached_input_tokens=9, cache_read_tokens=900, text_output_tokens=25)


def test_an_answer_sent_as_a_whole_was_made_as_a_whole() -> None:
    assert usage_so_far(expected_usage(30, 100), "openai", None, None).text_output_tokens == 100
    assert usage_so_far(expected_usage(30, 100), "openai", None, 0).text_output_tokens == 0


@given(input_tokens=counts, output=counts, thinking=counts, heard=st.none() | counts)
def test_an_estimate_is_never_below_what_was_reported_or_heard(
    input_tokens: int, output: int, thinking: int, heard: int | None
) -> None:
    details = {"thinking_tokens": thinking}
    raw: Any = {"input_tokens": input_tokens, "output_tokens": output + thinking, "output_tokens_details": details}

    got = usage_so_far(expected_usage(7, 9), "anthropic", raw, heard)

    assert got.input_tokens == input_tokens
    assert got.output_tokens == max(output + thinking, 9 if heard is None else heard)


def test_tool_calls_and_refusals_are_words_too() -> None:
    called = ToolCall(id="c-1", function=FunctionCall(name="bake", arguments='{"g":500}'))
    output = Output(content="Yes", refusal="No", tool_calls=(called,))

    got = usage_of_answer(expected_usage(3, None), "openai", None, output)

    assert got == Usage(uncached_input_tokens=3, text_output_tokens=5)
