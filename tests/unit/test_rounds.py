"""A request may be asked again because of its answer: whom, with what, how often, and what is booked meanwhile."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from schemas.base import Event
from schemas.cached import Fill, FlightEnded
from schemas.call import CallRow
from schemas.flow import Again, Completion, Dispatch, Plan, Round, Target
from schemas.postprocess import AnswerRules
from schemas.prompt import AssistantMessage, JsonSchema, JsonSchemaFormat, Params, Prompt, UserMessage
from schemas.response import Failure, Response, Status
from schemas.topics import CACHE, CALLS, DISPATCH, RESPONSES
from streams.answers.rounds import MOST_CARRIED_BYTES, again_for
from streams.answers.schema import schema_of
from streams.questions import prompt_of
from streams.stages.invoke import Backoff, Call, End, Step, next_step
from streams.stages.postprocess import decide
from streams.state.given_responses import GivenResponses
from tests.unit.examples import (
    NOW_MS,
    admitted,
    answer,
    attempt,
    carried,
    completion,
    control,
    dispatch,
    failed_attempt,
    forwarded,
    on,
    plan,
    prompt,
    records_of,
    slot_of,
    ticket,
    view,
)
from tests.unit.rounds import asked_again, decided, response_to, rows_of
from tests.unit.spending import Ledger, budget

SCHEMA = '{"type":"object","required":["crop"]}'
GOOD, BAD = '{"crop":"leek"}', '{"crop'
CALL_USD = Decimal("0.000013")
ASKS_JSON: dict[str, Any] = {
    "response_format": JsonSchemaFormat(type="json_schema", json_schema=JsonSchema(name="x", schema={}))
}
MENDS = AnswerRules(structure="check", re_ask=True)
CLIMBS = AnswerRules(structure="check", cascade=True)
BOTH = AnswerRules(structure="check", re_ask=True, cascade=True)
LADDER = (
    Target(deployment="a", provider="openai", model="gpt-5-nano"),
    Target(deployment="b", provider="openai", model="gpt-5-nano"),
    Target(deployment="c", provider="openai", model="gpt-5-mini"),
)


def planned(rules: AnswerRules | None, **changes: Any) -> Plan:
    return replace(plan(max_attempts=4), **{"targets": LADDER, "rules": rules, **changes})


def ended(content: str | None, rules: AnswerRules | None = MENDS, **changes: Any) -> Completion:
    """The end of a round that may lead to another."""
    facts: dict[str, Any] = {
        "plan": planned(rules),
        "answer": answer(content),
        "parse_json": True,
        "json_schema": SCHEMA,
        "again": Again(prompt=carried(prompt("Which crop?", **ASKS_JSON)), input_tokens=10),
        "slot": slot_of(admitted()),
        **changes,
    }
    return completion(**facts)


def kept_of(event: Completion) -> list[Event]:
    return [record.event for record in records_of(decided(event)) if record.topic is CACHE]


def second(content: str | None = GOOD, **changes: Any) -> Completion:
    """What comes of the second round."""
    facts: dict[str, Any] = {
        "round": Round(number=1, attempts=(attempt(1),), re_asked=1),
        "attempts": (attempt(2),),
        **changes,
    }
    return ended(content, **facts)


def test_json_that_is_wrong_is_asked_for_again_with_what_is_wrong_with_it() -> None:
    again = asked_again(ended('{"fruit": "leek"}'))

    asked = prompt_of(again.prompt)
    question, said, told = asked.messages
    assert question == UserMessage(role="user", content="Which crop?")
    assert said == AssistantMessage(role="assistant", content='{"fruit": "leek"}')
    assert isinstance(told, UserMessage)
    assert '"crop" is a required property' in str(told.content)
    assert asked.params == Params(**ASKS_JSON)
    assert again.round == Round(number=1, attempts=(attempt(),), re_asked=1)
    assert again.input_tokens > 10


def test_a_long_answer_is_quoted_in_part() -> None:
    _, said, _ = prompt_of(asked_again(ended("x" * 100_000)).prompt).messages

    assert len(str(said.content)) == 16_000


def test_the_attempts_of_a_round_are_priced_when_it_ends_and_none_of_them_is_final() -> None:
    (first, second_) = rows_of(ended(BAD, attempts=(failed_attempt(1), attempt(2))))

    assert [(row.phase, row.is_final, row.request_status) for row in (first, second_)] == [("priced", False, None)] * 2
    assert (first.cost.total_usd, second_.cost.total_usd) == (0, CALL_USD)
    assert (first.steps, second_.steps) == ({}, {"structure": "no_json"})
    assert second_.step_us == {"structure": 0}


def test_a_round_that_leads_to_another_tells_nobody_yet() -> None:
    outcome = decided(ended(BAD))

    assert on(RESPONSES, forwarded(outcome), Response) == []
    assert kept_of(ended(BAD)) == []


def test_it_is_asked_again_once_and_then_fails_with_what_is_wrong_and_what_was_said() -> None:
    response = response_to(second(BAD))

    assert response.status == "failed"
    assert response.error is not None
    assert (response.error.code, response.error.retryable) == ("invalid_output", False)
    assert "not JSON" in response.error.message
    assert response.output is not None
    assert response.output.content == BAD
    assert (response.round, response.steps) == (1, {"structure": "no_json"})


def test_an_answer_that_failed_its_check_is_never_kept_even_where_it_is_given() -> None:
    (landed,) = kept_of(second(BAD))
    assert isinstance(landed, FlightEnded)
    assert (landed.status, landed.failure is None) == ("failed", False)

    given = second(BAD, rules=replace(MENDS, otherwise="answer"))
    assert (response_to(given).status, response_to(given).steps) == ("ok", {"structure": "no_json"})
    (landed,) = kept_of(given)
    assert isinstance(landed, FlightEnded)
    assert landed.given is not None, "those who waited with it are given it too"
    assert (landed.given.answer.output.content, landed.steps) == (BAD, {"structure": "no_json"})
    assert landed.given.saved.cost_usd == 2 * CALL_USD


@pytest.mark.parametrize("status", ["failed", "expired"])
def test_where_an_answer_is_better_than_none_the_last_one_is_given_when_later_rounds_bring_none(status: Status) -> None:
    rules = replace(CLIMBS, otherwise="answer", min_chars=99)
    climbed = asked_again(ended(GOOD, rules))
    assert climbed.round is not None
    failure = Failure(code="provider_unavailable", message="c did not answer")
    lost = second(
        None,
        rules=rules,
        round=climbed.round,
        answer=None,
        status=status,
        failure=failure,
        again=None,
        parse_json=False,
        attempts=(failed_attempt(2, target_index=2),),
    )

    response = response_to(lost)

    assert (response.status, response.error, response.round) == ("ok", None, 1)
    assert response.output is not None
    assert (response.output.content, response.output.parsed) == (GOOD, {"crop": "leek"})
    assert response.steps == {"length": "too_short"}
    assert response.usage is not None
    assert [(row.attempt_id, row.is_final, row.request_status) for row in rows_of(lost)] == [("attempt-2", True, "ok")]
    (landed,) = kept_of(lost)
    assert isinstance(landed, FlightEnded)
    assert landed.given is not None
    assert (landed.given.answer.output, landed.status) == (
        climbed.round.held.output if climbed.round.held else None,
        "ok",
    )
    assert landed.given.saved.usage == response.usage


def test_where_a_failure_is_better_an_answer_that_did_not_pass_is_not_held() -> None:
    climbed = asked_again(ended(BAD, CLIMBS))

    assert climbed.round is not None
    assert climbed.round.held is None


def test_what_goes_out_in_the_end_counts_and_costs_all_rounds() -> None:
    response = response_to(second())

    assert (response.status, response.attempts, response.round) == ("ok", 2, 1)
    assert response.cost_usd == 2 * CALL_USD
    assert response.timings.provider_ms == 2_000
    (fill,) = kept_of(second())
    assert isinstance(fill, Fill)
    assert fill.saved.cost_usd == 2 * CALL_USD


def test_the_last_round_books_its_own_attempts_and_the_last_of_them_is_final() -> None:
    rows = rows_of(second(attempts=(failed_attempt(2), attempt(3))))

    assert [(row.attempt_id, row.is_final, row.round) for row in rows] == [
        ("attempt-2", False, 1),
        ("attempt-3", True, 1),
    ]


def test_the_row_of_an_answer_that_failed_its_check_says_so() -> None:
    (row,) = rows_of(second(BAD))

    assert (row.is_final, row.request_status, row.error_class) == (True, "failed", "invalid_output")
    assert row.cost.total_usd == CALL_USD


def test_a_last_round_in_which_nobody_was_asked_ends_with_a_row_of_its_own() -> None:
    event = second(None, answer=None, status="expired", attempts=(), again=None)

    (row,) = rows_of(event)

    assert (row.attempt_no, row.is_final, row.request_status, row.cost.total_usd) == (0, True, "expired", 0)
    assert row.attempt_id not in {"attempt-1", "attempt-2"}
    assert (response_to(event).attempts, response_to(event).cost_usd) == (1, CALL_USD)


def test_a_cascade_goes_on_to_the_next_model_and_not_to_another_deployment_of_the_same() -> None:
    again = asked_again(ended(BAD, CLIMBS))

    assert again.round == Round(number=1, attempts=(attempt(),), from_target=2)
    assert prompt_of(again.prompt) == prompt("Which crop?", **ASKS_JSON)
    assert again.input_tokens == 10


def test_a_model_that_may_be_told_is_told_before_the_next_is_asked_which_hears_nothing_of_it() -> None:
    told = asked_again(ended(BAD, BOTH))
    assert told.round is not None
    assert (told.round.from_target, told.round.re_asked) == (0, 1)

    climbed = asked_again(
        second(BAD, rules=BOTH, again=Again(prompt=told.prompt, input_tokens=told.input_tokens), round=told.round)
    )

    assert climbed.round == Round(number=2, attempts=(attempt(1), attempt(2)), from_target=2, re_asked=1)
    assert prompt_of(climbed.prompt) == prompt("Which crop?", **ASKS_JSON)


def test_what_no_model_would_do_better_when_told_is_not_asked_for_again() -> None:
    cut = ended("Half an", replace(MENDS, truncation="require"), answer=answer("Half an", finish_reason="length"))

    assert response_to(cut).status == "failed"


@pytest.mark.parametrize(
    "event",
    [
        ended(BAD, BOTH, ticket=ticket(stream=True, stamps={"invoke": NOW_MS})),
        ended(BAD, BOTH, ticket=ticket(deadline_ms=NOW_MS, stamps={"invoke": NOW_MS})),
        ended(BAD, BOTH, attempts=tuple(attempt(number) for number in (1, 2, 3, 4))),
        ended(BAD, BOTH, again=None),
        second(BAD, rules=CLIMBS, attempts=(attempt(2, target_index=2),)),
    ],
    ids=["streamed", "too late", "no attempt left", "prompt too long", "no model left"],
)
def test_where_nothing_is_left_the_request_fails(event: Completion) -> None:
    assert response_to(event).status == "failed"


def test_whether_it_is_in_time_is_decided_by_when_the_answer_came() -> None:
    """So that it is decided the same when it is taken again, an hour later."""
    event = ended(BAD, ticket=ticket(deadline_ms=NOW_MS + 500, stamps={"invoke": NOW_MS + 400}))

    first = on(DISPATCH["normal"], records_of(decided(event)), Dispatch)
    later = decide(event, view(GivenResponses(), now_ms=NOW_MS + 3_600_000))

    assert on(DISPATCH["normal"], records_of(later), Dispatch) == first
    assert len(first) == 1


def test_a_request_that_has_its_response_is_not_asked_any_more_but_its_call_is_booked() -> None:
    state = GivenResponses()
    state.apply(response_to(second()), NOW_MS)

    records = records_of(decided(ended(BAD, attempts=(attempt(9),)), state))

    assert [(record.topic, record.event.attempt_id) for record in records if isinstance(record.event, CallRow)] == [
        (CALLS, "attempt-9")
    ]
    assert len(records) == 1


def test_a_conversation_of_the_greatest_length_is_not_made_longer() -> None:
    full = Prompt(messages=(UserMessage(role="user", content="a"),) * 2_048, params=Params(**ASKS_JSON))

    assert response_to(ended(BAD, again=Again(prompt=carried(full), input_tokens=10))).status == "failed"


def test_a_prompt_travels_on_only_where_another_round_may_follow() -> None:
    asked = replace(dispatch(), plan=planned(MENDS))
    json, text = Params(**ASKS_JSON), Params()

    def carries(event: Dispatch, params: Params, made: int = 1, content: str = BAD) -> bool:
        attempts = [attempt(number + 1) for number in range(made)]
        return again_for(event, answer(content), attempts, params, NOW_MS) is not None

    assert carries(asked, json)
    assert not carries(asked, text)
    assert not carries(asked, json, made=4)
    assert not carries(asked, json, content="x" * MOST_CARRIED_BYTES)
    assert not carries(replace(asked, plan=planned(None)), json)
    assert not carries(replace(asked, round=Round(number=1, attempts=(attempt(),), re_asked=1)), json)
    assert carries(replace(asked, plan=planned(CLIMBS)), text)
    top = replace(asked, plan=planned(CLIMBS, targets=LADDER[2:]))
    assert not carries(top, text)


def test_a_schema_travels_only_where_it_is_checked() -> None:
    json = Params(**ASKS_JSON)

    assert schema_of(json, MENDS) == "{}"
    assert schema_of(json, AnswerRules(refusal="mark")) is None
    assert schema_of(Params(), MENDS) is None


def stepped(event: Dispatch, *failures: Any) -> Step:
    return next_step(event, failures, control(), NOW_MS, jitter=0.5, backoff=Backoff(200, 5_000))


def test_a_later_round_begins_at_its_own_target_and_counts_all_attempts() -> None:
    event = replace(dispatch(), plan=planned(CLIMBS), round=Round(number=1, attempts=(attempt(),), from_target=2))

    step = stepped(event)

    assert isinstance(step, Call)
    assert (step.target.deployment, step.target_index, step.attempt_no) == ("c", 2, 2)


def test_a_model_that_is_told_what_was_wrong_is_asked_at_once_and_failed_ones_after_their_pause() -> None:
    earlier = (failed_attempt(1, ended_at_ms=NOW_MS), attempt(2, target_index=1))
    event = replace(dispatch(), plan=planned(MENDS), round=Round(number=1, attempts=earlier, re_asked=1))

    step = stepped(event)

    assert isinstance(step, Call)
    assert step.target_index == 1


def test_the_budget_of_attempts_binds_all_rounds_together() -> None:
    earlier = tuple(attempt(number) for number in (1, 2, 3))
    event = replace(dispatch(), plan=planned(MENDS), round=Round(number=1, attempts=earlier, re_asked=1))

    assert isinstance(stepped(event), Call)
    assert isinstance(stepped(event, failed_attempt(4)), End)


def test_who_turned_us_away_for_good_in_an_earlier_round_is_not_asked_in_a_later_one() -> None:
    no_key: dict[str, Any] = {"error_class": "authentication", "http_status": 401, "retryable": False}
    earlier = (failed_attempt(1, target_index=2, **no_key), attempt(2, target_index=1))
    event = replace(dispatch(), plan=planned(CLIMBS), round=Round(number=1, attempts=earlier, from_target=2))

    step = stepped(event)

    assert isinstance(step, End)
    assert step.failure.code == "provider_unavailable"


@pytest.mark.parametrize("request_id", ["r-1", "r-1#1", "#1/acme/r-1"])
def test_no_request_id_can_pass_for_the_round_of_another(request_id: str) -> None:
    first = replace(dispatch(), ticket=ticket(request_id))
    names = {first.round_name} | {replace(dispatch(), round=Round(number=n, attempts=())).round_name for n in (1, 2)}

    assert len(names) == 3


def test_the_prompt_of_a_later_round_is_as_readable_as_the_first() -> None:
    again = asked_again(ended(BAD))

    assert Dispatch.decode(again.encode()).round == again.round
    assert isinstance(again.prompt, Raw)


def test_a_budget_counts_each_round_once_and_holds_until_the_last() -> None:
    ledger = Ledger(budget())
    assert ledger.admits("r-1")
    first = rows_of(ended(BAD))
    last = rows_of(second(GOOD))

    for row in first:
        ledger.take(row, 1, NOW_MS)
    assert (ledger.spent(), ledger.held() > 0) == (CALL_USD, True)

    for offset, row in ((2, first[0]), (3, last[0]), (4, first[0]), (3, last[0])):
        ledger.take(row, offset, NOW_MS)
    assert (ledger.spent(), ledger.held()) == (2 * CALL_USD, 0)
