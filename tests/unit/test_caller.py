"""Every call is on the ledger before the provider hears of it, and every dispatched request comes to an end."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from schemas.attempt import Attempt
from schemas.base import JsonObject
from schemas.flow import Again, Answer, Completion
from schemas.money import Price, PricePeriod, Rates
from schemas.postprocess import AnswerRules
from schemas.prompt import JsonSchema, JsonSchemaFormat
from schemas.response import Output
from schemas.usage import Usage
from streams.control import ControlView, with_object
from streams.cost.ledger import FREE
from streams.invoke.caller import LONGEST_NAP_MS
from streams.providers.protocol import (
    Lost,
    Misconfigured,
    TurnedAway,
    Unacceptable,
)
from tests.fakes.provider import saying
from tests.unit.calling import BUSY, CALL_MS, ELSEWHERE, LOST, WRITE_MS, LedgerIsDown, world
from tests.unit.examples import (
    NOW_MS,
    PROMPT_CANARY,
    admitted,
    breaker,
    carried,
    control,
    deployment,
    dispatch,
    prompt,
    slot_of,
    ticket,
)

_PRICE = Price(name="ours", periods=(PricePeriod(rates=Rates(input="0.25", output="2")),))
PRICED = with_object(ELSEWHERE, _PRICE, 1)
LOST_USD = Decimal("0.0010265")
"""10 tokens in and an expected 512 out."""


def answered(completion: Completion) -> Answer:
    assert completion.status == "ok", completion.failure
    assert completion.answer is not None
    return completion.answer


@pytest.mark.asyncio
async def test_the_started_row_is_safe_before_the_provider_is_asked() -> None:
    here = world(saying("Yes."))

    completion = await here.complete(dispatch())

    assert here.events == ["started attempt-1", "ask openai-1"]
    assert answered(completion).output == Output(content="Yes.")
    (row,) = here.rows
    assert (row.cost.status, row.cost.total_usd) == ("unknown_billable", None)
    assert (row.is_final, row.completed_at_ms) == (False, None)


@pytest.mark.asyncio
async def test_when_the_ledger_cannot_be_written_nobody_is_asked() -> None:
    here = world(ledger_breaks_after=0)

    with pytest.raises(LedgerIsDown):
        await here.complete(dispatch())

    assert here.events == []
    assert here.providers["openai-1"].asked == []


@pytest.mark.asyncio
async def test_when_the_ledger_fails_between_two_attempts_there_is_no_second_one() -> None:
    here = world(BUSY, ledger_breaks_after=1)

    with pytest.raises(LedgerIsDown):
        await here.complete(dispatch("openai-1", "other"))

    assert here.events == ["started attempt-1", "ask openai-1"]


@pytest.mark.asyncio
async def test_an_attempt_is_settled_before_the_next_is_started() -> None:
    here = world(BUSY)

    completion = await here.complete(dispatch("openai-1", "other"))

    assert here.events == [
        "started attempt-1",
        "ask openai-1",
        "settled attempt-1",
        "started attempt-2",
        "ask other",
    ]
    assert answered(completion).deployment == "other"
    assert [each.attempt_id for each in completion.attempts] == ["attempt-1", "attempt-2"]


@pytest.mark.asyncio
async def test_every_attempt_has_its_rows_and_the_last_ones_end_is_in_the_completion() -> None:
    here = world(BUSY, LOST, BUSY)

    completion = await here.complete(dispatch(max_attempts=3))

    assert completion.status == "failed"
    assert here.phases == [
        ("attempt-1", "started"),
        ("attempt-1", "settled"),
        ("attempt-2", "started"),
        ("attempt-2", "settled"),
        ("attempt-3", "started"),
    ]
    assert [each.attempt_no for each in completion.attempts] == [1, 2, 3]


@pytest.mark.asyncio
async def test_what_was_turned_away_is_settled_as_free_and_what_was_lost_as_unknown() -> None:
    here = world(BUSY, LOST, control=PRICED)

    await here.complete(dispatch(max_attempts=3))

    free, lost = (row.cost for row in here.rows if row.phase == "settled")
    assert free == FREE
    assert (lost.status, lost.total_usd, lost.estimated_usd) == ("unknown_billable", None, LOST_USD)


@pytest.mark.asyncio
async def test_all_that_is_known_of_an_answer_is_in_its_attempt() -> None:
    here = world(saying("Yes."))

    completion = await here.complete(dispatch())

    (made,) = completion.attempts
    assert (made.started_at_ms, made.ended_at_ms) == (NOW_MS + WRITE_MS, NOW_MS + WRITE_MS + CALL_MS)
    assert (made.model, made.model_reported, made.provider_request_id) == ("gpt-5-mini-2026", "fake-1", "req_fake")
    assert (made.usage_source, made.error_class, made.http_status, made.finish_reason) == (
        "provider",
        None,
        200,
        "stop",
    )
    assert made.usage_raw == {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
    assert answered(completion).model == "fake-1"


@pytest.mark.asyncio
async def test_all_that_is_known_of_a_failure_is_in_its_attempt() -> None:
    usage: dict[str, Any] = {"input_tokens": 12}
    cut = Lost(
        "cut_stream",
        "The provider's answer broke off before its end; try again.",
        http_status=200,
        retry_after_ms=40,
        provider_request_id="req-9",
        usage_raw=usage,
        usage_source="partial",
    )
    completion = await world(cut).complete(dispatch(max_attempts=1))

    (made,) = completion.attempts
    assert (made.error_class, made.retryable, made.ambiguous, made.http_status) == ("cut_stream", True, True, 200)
    assert (made.retry_after_ms, made.provider_request_id) == (40, "req-9")
    assert (made.usage_raw, made.usage_source) == (usage, "partial")
    assert completion.failure is not None
    assert completion.failure.message.endswith("try again.")


@pytest.mark.asyncio
async def test_the_completion_carries_all_that_postprocess_needs() -> None:
    slot = slot_of(admitted())
    asked = replace(dispatch(), slot=slot)

    completion = await world().complete(asked)

    assert (completion.slot, completion.plan, completion.parse_json) == (slot, asked.plan, False)
    assert completion.ticket.stamps["invoke"] == NOW_MS + WRITE_MS + CALL_MS
    assert Completion.decode(completion.encode()) == completion


@pytest.mark.asyncio
async def test_the_provider_is_asked_under_the_attempts_id_with_the_time_that_is_left_after_writing_the_row() -> None:
    here = world()

    await here.complete(dispatch(ticket_=ticket(deadline_ms=NOW_MS + 900, stream=True)))

    (question,) = here.providers["openai-1"].asked
    assert (question.attempt_id, question.model, question.stream) == ("attempt-1", "gpt-5-mini-2026", True)
    assert question.timeout_ms == 900 - WRITE_MS


@pytest.mark.asyncio
async def test_a_question_that_is_refused_is_asked_nowhere_else() -> None:
    here = world(Unacceptable("bad_request", "The provider refused (HTTP 400).", http_status=400))

    completion = await here.complete(dispatch("openai-1", "other"))

    assert completion.status == "failed"
    assert here.events == ["started attempt-1", "ask openai-1"]


@pytest.mark.asyncio
async def test_a_deployment_that_cannot_answer_is_passed_over_for_the_next() -> None:
    here = world(Misconfigured("authentication", "The key is wrong.", http_status=401))

    assert answered(await here.complete(dispatch("openai-1", "other"))).deployment == "other"


@pytest.mark.asyncio
async def test_a_deployment_removed_meanwhile_counts_as_an_attempt_that_failed() -> None:
    here = world(control=with_object(ControlView(), deployment("other"), 1))

    completion = await here.complete(dispatch("openai-1", "other"))

    assert [each.error_class for each in completion.attempts] == ["not_found", None]
    assert here.providers["openai-1"].asked == []


@pytest.mark.asyncio
async def test_between_attempts_on_one_target_there_is_a_pause() -> None:
    here = world(BUSY, BUSY)

    answered(await here.complete(dispatch(max_attempts=3)))

    first, second = here.naps_ms
    assert 100 <= first + WRITE_MS <= 200
    assert 200 <= second + WRITE_MS <= 400


@pytest.mark.asyncio
async def test_a_long_wait_is_slept_in_short_naps() -> None:
    told = TurnedAway("rate_limited", "wait", http_status=429, retry_after_ms=3_500)
    here = world(told)

    answered(await here.complete(dispatch(max_attempts=2)))

    assert max(here.naps_ms) <= LONGEST_NAP_MS
    assert sum(here.naps_ms) + WRITE_MS == 3_500


@pytest.mark.asyncio
async def test_a_breaker_that_closes_early_ends_the_wait_for_it() -> None:
    here = world(control=control(breaker(until_ms=NOW_MS + 60_000)))

    def close_after_three_naps() -> None:
        if len(here.naps_ms) == 3:
            here.control = with_object(here.control, breaker(until_ms=0, state="closed"), 99)

    here.while_asleep = close_after_three_naps

    answered(await here.complete(dispatch()))

    assert here.naps_ms == [LONGEST_NAP_MS] * 3


@pytest.mark.asyncio
async def test_who_waits_for_a_breaker_in_vain_expires_at_its_deadline_without_a_call() -> None:
    here = world(control=control(breaker(until_ms=NOW_MS + 60_000)))

    completion = await here.complete(dispatch(ticket_=ticket(deadline_ms=NOW_MS + 2_500)))

    assert (completion.status, completion.attempts, here.rows) == ("expired", (), [])
    assert here.now_ms == NOW_MS + 2_500


@pytest.mark.asyncio
async def test_a_request_that_comes_too_late_is_not_asked() -> None:
    here = world()

    completion = await here.complete(dispatch(ticket_=ticket(deadline_ms=NOW_MS)))

    assert (completion.status, completion.attempts, here.events) == ("expired", (), [])


@pytest.mark.asyncio
async def test_a_deadline_that_passes_while_the_row_is_written_ends_the_request_before_the_question_is_sent() -> None:
    here = world()

    completion = await here.complete(dispatch("openai-1", "other", ticket_=ticket(deadline_ms=NOW_MS + WRITE_MS)))

    assert here.events == ["started attempt-1"]
    assert completion.status == "expired"
    (made,) = completion.attempts
    assert (made.error_class, made.ambiguous) == ("timeout", False)


@pytest.mark.asyncio
async def test_a_call_that_is_cancelled_leaves_its_started_row_and_nothing_else() -> None:
    asked = asyncio.Event()

    async def hang() -> None:
        asked.set()
        await asyncio.Event().wait()

    here = world(before_asking=hang, control=PRICED)
    call = asyncio.create_task(here.complete(dispatch("openai-1", "other")))
    async with asyncio.timeout(5):
        await asked.wait()

    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call
    assert here.phases == [("attempt-1", "started")]
    assert here.rows[0].cost.status == "unknown_billable"
    assert here.rows[0].cost.estimated_usd == LOST_USD


@pytest.mark.asyncio
async def test_a_free_attempt_is_settled_before_the_pause_that_follows_and_only_once() -> None:
    here = world(BUSY)
    seen: list[list[tuple[str, str]]] = []
    here.while_asleep = lambda: seen.append(here.phases)

    answered(await here.complete(dispatch(max_attempts=2)))

    assert seen[0] == [("attempt-1", "started"), ("attempt-1", "settled")]
    assert here.phases == [*seen[0], ("attempt-2", "started")]
    assert here.rows[1].cost == FREE


@pytest.mark.asyncio
async def test_an_error_no_provider_may_raise_is_not_taken_for_an_answer() -> None:
    async def break_down() -> None:
        raise RuntimeError("a bug")

    here = world(before_asking=break_down)

    with pytest.raises(RuntimeError, match="a bug"):
        await here.complete(dispatch())

    assert here.phases == [("attempt-1", "started")]


@pytest.mark.asyncio
async def test_calls_are_counted_by_where_and_how_they_ended() -> None:
    here = world(BUSY)

    await here.complete(dispatch("openai-1", "other"))

    counted = {
        (sample.labels["deployment"], sample.labels["result"]): sample.value
        for metric in here.metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "millrace_attempts_total"
    }
    assert counted == {("openai-1", "overloaded"): 1, ("other", "ok"): 1}


@pytest.mark.asyncio
async def test_pauses_differ_between_requests_and_are_the_same_for_one() -> None:
    naps: list[tuple[int, ...]] = []
    for request_id in ("r-1", "r-1", "r-2", "r-3", "r-4"):
        here = world(BUSY)
        await here.complete(dispatch(ticket_=ticket(request_id)))
        naps.append(tuple(here.naps_ms))

    assert naps[0] == naps[1]
    assert len(set(naps)) > 2


@pytest.mark.asyncio
async def test_nothing_of_the_question_is_on_the_ledger() -> None:
    here = world(BUSY, LOST)

    completion = await here.complete(dispatch())

    assert all(PROMPT_CANARY not in row.encode().decode() for row in here.rows)
    assert all(PROMPT_CANARY not in each.encode().decode() for each in completion.attempts)
    assert all(isinstance(each, Attempt) for each in completion.attempts)


@pytest.mark.asyncio
async def test_a_lost_call_keeps_what_it_used_if_it_was_billed_and_a_free_one_nothing() -> None:
    here = world(BUSY, LOST, saying("Yes."))

    completion = await here.complete(dispatch(max_attempts=3))

    expected = Usage(uncached_input_tokens=10, text_output_tokens=512)
    assert [each.estimated_usage for each in completion.attempts] == [None, expected, None]


@pytest.mark.asyncio
async def test_of_a_cut_stream_what_was_heard_counts() -> None:
    cut = Lost("cut_stream", "The provider's answer broke off before its end; try again.")
    cut.answering, cut.heard_tokens = True, 7
    here = world(cut)

    completion = await here.complete(dispatch(max_attempts=1))

    (lost,) = completion.attempts
    assert (lost.answering, lost.estimated_usage) == (True, Usage(uncached_input_tokens=10, text_output_tokens=7))


@pytest.mark.asyncio
@pytest.mark.parametrize("reported", [None, {"prompt_tokens": "many"}], ids=["none", "unusable"])
async def test_a_whole_answer_without_a_usable_usage_is_estimated_from_its_words(reported: JsonObject | None) -> None:
    here = world(saying("Thyme, and sixteen.", usage=reported))

    completion = await here.complete(dispatch())

    assert completion.attempts[0].estimated_usage == Usage(uncached_input_tokens=10, text_output_tokens=5)


@pytest.mark.asyncio
async def test_only_a_plan_with_rules_has_its_completion_carry_what_another_round_needs() -> None:
    plain = await world(saying("Yes.")).complete(dispatch())
    assert (plain.again, plain.json_schema, plain.round) == (None, None, None)

    schema = JsonSchema(name="crop", schema={"type": "object"})
    asked = carried(prompt(response_format=JsonSchemaFormat(type="json_schema", json_schema=schema)))
    rules = AnswerRules(structure="check", re_ask=True)
    held = replace(dispatch(), prompt=asked, plan=replace(dispatch().plan, rules=rules))
    completion = await world(saying("Yes.")).complete(held)
    assert completion.again == Again(prompt=asked, input_tokens=10)
    assert completion.json_schema == '{"type":"object"}'
