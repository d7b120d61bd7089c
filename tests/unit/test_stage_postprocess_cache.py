"""What the cache learns of a question that somebody led: an answer to give again, or why there is none."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from schemas.cached import CacheRecord, Fill, FlightEnded
from schemas.flow import Completion, Saved
from schemas.response import Failure, FinishReason, FunctionCall, Output, Response, Status, ToolCall
from schemas.topics import CACHE
from schemas.usage import Usage
from streams.runtime.outcome import Record
from streams.stages.postprocess import decide
from streams.state.given_responses import GivenResponses
from tests.unit.examples import NOW_MS, admitted, answer, completion, forwarded, slot_of, view

SLOT = slot_of(admitted())
LATER_MS = NOW_MS + 1_200


def written(event: Completion) -> tuple[Record, ...]:
    return forwarded(decide(event, view(GivenResponses(), now_ms=LATER_MS)))


def kept_of(event: Completion) -> CacheRecord:
    (kept,) = [record.event for record in written(event) if record.topic is CACHE]
    assert isinstance(kept, Fill | FlightEnded)
    return kept


def ended(status: Status, **changes: Any) -> Completion:
    failure = Failure(code="provider_timeout", message="openai-1 did not answer", retryable=True)
    return completion(status=status, failure=failure, answer=None, attempts=(), **changes)


def test_a_leaders_answer_is_kept_with_what_it_cost() -> None:
    fill = kept_of(completion(slot=SLOT))

    assert isinstance(fill, Fill)
    assert (fill.entry, fill.answer, fill.saved.cost_usd) == (SLOT.entry, answer("Yes."), Decimal("0.000013"))
    assert fill.saved.usage == Usage(uncached_input_tokens=12, text_output_tokens=5)
    assert fill.expires_at_ms == LATER_MS + SLOT.expires_after_ms


def test_the_cache_hears_of_it_in_the_namespaces_partition_and_a_failure_never_erases_an_answer() -> None:
    kept = written(completion(slot=SLOT))[-1]
    lost = written(ended("failed", slot=SLOT))[-1]

    assert (kept.key, kept.partition_by) == (SLOT.entry, SLOT.namespace)
    assert lost.partition_by == SLOT.namespace
    assert lost.key != kept.key


@pytest.mark.parametrize("finish_reason", ["content_filter", "refusal", "unknown"])
def test_an_answer_that_need_not_come_out_the_same_again_is_not_kept(finish_reason: FinishReason) -> None:
    record = kept_of(completion(slot=SLOT, answer=answer(finish_reason=finish_reason)))

    assert isinstance(record, FlightEnded)
    assert (record.identity, record.status, record.failure) == ("acme/r-1", "ok", None)


@pytest.mark.parametrize("finish_reason", ["content_filter", "refusal", "unknown"])
def test_those_who_waited_are_given_an_answer_that_is_not_kept_and_it_has_expired_for_all_others(
    finish_reason: FinishReason,
) -> None:
    record = kept_of(completion(slot=SLOT, answer=answer("No.", finish_reason=finish_reason)))

    assert isinstance(record, FlightEnded)
    assert record.given is not None
    assert record.given.answer == answer("No.", finish_reason=finish_reason)
    assert (record.given.saved.request_id, record.given.saved.cost_usd) == ("r-1", Decimal("0.000013"))
    assert record.given.expires_at_ms == record.ended_at_ms == LATER_MS


@pytest.mark.parametrize(
    "output",
    [
        Output(content=""),
        Output(content=" \n"),
        Output(),
        Output(content="I'm sorry, but I can't help with that."),
        Output(content="Leider kann ich diese Anfrage nicht beantworten."),
        Output(content="Yes.", refusal="No."),
    ],
)
def test_an_answer_that_is_blank_or_declines_in_words_is_given_to_who_waited_and_kept_for_nobody(
    output: Output,
) -> None:
    record = kept_of(completion(slot=SLOT, answer=answer(output=output)))

    assert isinstance(record, FlightEnded)
    assert record.given is not None
    assert record.given.answer.output == output


def test_half_an_answer_is_neither_kept_nor_given_to_others() -> None:
    record = kept_of(completion(slot=SLOT, answer=answer(complete=False)))

    assert isinstance(record, FlightEnded)
    assert record.given is None


def test_who_was_given_an_answer_that_another_waited_for_is_told_what_was_said_of_it() -> None:
    saved = Saved(request_id="r-0", usage=Usage(), cost_usd=Decimal("0.02"))
    hit = completion(cache="coalesced", saved=saved, attempts=(), plan=None, steps={"structure": "no_json"})

    (given,) = [each.event for each in written(hit) if isinstance(each.event, Response)]

    assert given.steps == {"structure": "no_json"}


@pytest.mark.parametrize("finish_reason", ["stop", "length", "tool_calls"])
def test_an_answer_that_would_come_again_is_kept(finish_reason: FinishReason) -> None:
    assert isinstance(kept_of(completion(slot=SLOT, answer=answer(finish_reason=finish_reason))), Fill)


@pytest.mark.parametrize("status", ["failed", "expired", "rejected"])
def test_those_who_wait_for_a_leader_are_told_how_it_ended(status: Status) -> None:
    event = ended(status, slot=SLOT)

    record = kept_of(event)

    assert isinstance(record, FlightEnded)
    assert (record.entry, record.identity, record.status) == (SLOT.entry, "acme/r-1", status)
    assert record.failure == event.failure


def test_without_a_slot_the_cache_hears_nothing() -> None:
    assert not any(record.topic is CACHE for record in written(completion()))


def test_a_response_out_of_the_cache_says_whose_answer_it_is_so_that_it_can_be_taken_back() -> None:
    saved = Saved(request_id="r-0", usage=Usage(), cost_usd=Decimal("0.02"), similarity=0.97)
    hit = completion(cache="semantic", saved=saved, attempts=(), plan=None)

    (given,) = [each.event for each in written(hit) if isinstance(each.event, Response)]

    assert (given.source_request_id, given.similarity, given.saved_usd) == ("r-0", 0.97, Decimal("0.02"))


def test_a_response_that_was_asked_for_says_nothing_of_the_kind() -> None:
    (given,) = [each.event for each in written(completion()) if isinstance(each.event, Response)]

    assert (given.source_request_id, given.similarity) == (None, None)


def test_a_call_of_a_tool_and_a_streamed_answer_are_kept_as_they_are_and_found_by_who_does_not_stream() -> None:
    call = ToolCall(id="call_1", function=FunctionCall(name="weather", arguments='{"city":"Bern"}'))
    told = answer(None, finish_reason="tool_calls", output=Output(tool_calls=(call,)))
    streamed = completion(slot=SLOT, answer=told, ticket=replace(completion().ticket, stream=True))

    fill = kept_of(streamed)

    assert isinstance(fill, Fill)
    assert fill.answer.output.tool_calls == (call,)
    assert fill.entry == slot_of(admitted(stream=True)).entry == slot_of(admitted(stream=False)).entry
