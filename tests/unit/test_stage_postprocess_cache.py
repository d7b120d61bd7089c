"""What the cache learns of a question that somebody led: an answer to give again, or why there is none."""

from decimal import Decimal
from typing import Any

import pytest

from schemas.cached import CacheRecord, Fill, FlightEnded
from schemas.flow import Completion
from schemas.response import Failure, FinishReason, Status
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


def test_half_an_answer_is_not_kept() -> None:
    assert isinstance(kept_of(completion(slot=SLOT, answer=answer(complete=False))), FlightEnded)


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
