"""A judge's round is one of its request's: within one budget and deadline, booked once, whoever carries it out."""

from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from schemas.base import load_json
from schemas.cached import Fill
from schemas.content import ContentRule
from schemas.flow import Again, Completion, Dispatch, Round
from schemas.postprocess import AnswerRules, PostProcess
from schemas.prompt import AssistantMessage, Prompt, UserMessage
from schemas.response import Response
from schemas.topics import DISPATCH, RESPONSES
from scripts.cli.cache_topic import warmed
from streams.answers.rounds import again_for
from streams.questions import prompt_of
from streams.runtime.outcome import Outcome
from streams.stages.invoke import Call, End
from streams.stages.postprocess import decide
from streams.state.given_responses import GivenResponses
from tests.unit.examples import (
    NOW_MS,
    answer,
    attempt,
    breaker,
    carried,
    control,
    dispatch,
    failed_attempt,
    forwarded,
    on,
    prompt,
    route,
    tenant,
    ticket,
    view,
)
from tests.unit.judging import RULES, answered, finals, given, judging, planned, says, stepped
from tests.unit.rounds import asked_again, response_to, rows_of
from tests.unit.spending import Ledger, budget


def test_a_judges_round_asks_judges_and_all_other_rounds_ask_none() -> None:
    step = stepped(judging())
    assert isinstance(step, Call)
    assert (step.target.deployment, step.target_index, step.attempt_no) == ("judge", 2, 2)

    asked = replace(dispatch(), plan=planned())
    resting = [failed_attempt(1), failed_attempt(2, target_index=1)]
    assert not isinstance(stepped(asked, *resting), Call)


def test_each_judge_is_asked_once_and_none_is_waited_for() -> None:
    first = failed_attempt(2, target_index=2, ended_at_ms=NOW_MS)
    step = stepped(judging(), first)
    assert isinstance(step, Call)
    assert step.target.deployment == "spare"
    assert isinstance(stepped(judging(), first, failed_attempt(3, target_index=3, ended_at_ms=0)), End)

    shut = control(breaker("judge", until_ms=NOW_MS + 9_000), breaker("spare", until_ms=NOW_MS + 9_000))
    assert isinstance(stepped(judging(), control=shut), End)


def test_budget_and_deadline_bind_a_judge_too() -> None:
    made = (attempt(2), attempt(3))
    assert isinstance(stepped(judging(*made), failed_attempt(4, target_index=2)), End)

    late = stepped(judging(ticket=ticket(deadline_ms=NOW_MS)))
    assert isinstance(late, End)
    assert late.status == "expired"


def test_a_completion_carries_its_prompt_where_a_judge_may_follow() -> None:
    asked = replace(dispatch(), plan=planned(replace(RULES, cascade=False)))
    params = prompt().params

    def carries(event: Dispatch, said: Any = None, made: int = 1) -> bool:
        attempts = [attempt(number + 1) for number in range(made)]
        return again_for(event, said or answer(), attempts, params, NOW_MS) is not None

    assert carries(asked)
    assert not carries(asked, made=4)
    assert not carries(replace(asked, plan=replace(asked.plan, judge_from=None)))
    assert not carries(replace(asked, ticket=ticket(stream=True)))
    assert not carries(judging())


def test_two_answers_of_the_same_round_are_judged_apart() -> None:
    twins = [answered(), answered(attempts=(attempt(1, attempt_id="twin-1"),))]

    names = {asked_again(each).round_name for each in twins}

    assert len(names) == 2
    assert says('{"score": 1}').round_name == asked_again(answered()).round_name


def test_an_answer_that_was_given_is_not_booked_as_open_when_it_is_taken_again() -> None:
    state = given(says('{"score": 0.85}'))

    assert rows_of(answered(), state) == []
    assert finals(rows_of(says('{"score": 0.85}'), state)) == {"judge-2": False, "attempt-1": True}


@pytest.mark.parametrize("said", ['{"score": 0.85}', '{"score": 0.1}', '{"score": 0.1}!'])
def test_another_verdict_on_the_answer_that_was_given_is_booked_alone(said: str) -> None:
    state = given(says('{"score": 0.9}'))
    other = says(said)
    twice = replace(other, attempts=(replace(other.attempts[0], attempt_id="judge-b", ended_at_ms=NOW_MS + 1_900),))

    assert finals(rows_of(twice, state)) == {"judge-b": False}


def test_an_answer_that_came_beside_the_one_that_was_given_is_booked_with_its_judge() -> None:
    """Two workers carried out the first round: both answers were paid for, and one is given."""
    state = given(says('{"score": 0.9}'))
    beside = answered(
        ticket=ticket(stamps={"validate": NOW_MS, "invoke": NOW_MS + 1_900}),
        attempts=(attempt(1, attempt_id="twin-1"),),
    )

    assert finals(rows_of(beside, state)) == {"twin-1": False}
    assert finals(rows_of(says('{"score": 1}', beside), state)) == {"judge-2": False, "twin-1": False}


def test_a_model_that_was_told_what_was_wrong_is_not_quoted_to_the_next_when_its_judge_is_not_content() -> None:
    told = Prompt(
        messages=(
            UserMessage(role="user", content="Which crop?"),
            AssistantMessage(role="assistant", content="leek"),
            UserMessage(role="user", content="That answer cannot be used."),
        )
    )
    second = answered(
        attempts=(attempt(2),),
        round=Round(number=1, attempts=(attempt(1),), re_asked=1),
        again=Again(prompt=carried(told), input_tokens=30),
    )

    climbed = asked_again(says('{"score": 0.2}', second))

    assert prompt_of(climbed.prompt) == prompt("Which crop?")
    assert climbed.round is not None
    assert [each.attempt_no for each in climbed.round.attempts] == [1, 2, 3]


def test_what_warms_the_cache_is_the_answer_that_was_judged_and_only_where_it_passed() -> None:
    known = control()

    def fill(event: Completion) -> Fill | None:
        return warmed(event, known, NOW_MS)

    kept = fill(says('{"score": 0.9}'))
    assert kept is not None
    assert kept.answer.output.content == "Leek."
    assert kept.saved.cost_usd == response_to(says('{"score": 0.9}')).cost_usd
    assert fill(answered()) is None
    assert fill(says('{"score": 0.1}')) is None


def test_events_of_an_older_process_know_no_judge() -> None:
    old = answered(plan=replace(planned(), judge_from=None, rules=AnswerRules(min_chars=1)))
    plain = load_json(old.encode())
    assert isinstance(plain, dict)
    said = old.encode().replace(b',"judge_from":null', b"").replace(b',"judge":null', b"")

    assert len(said) < len(old.encode())
    assert Completion.decode(said) == old
    assert isinstance(old.again and old.again.prompt, Raw)


def test_what_was_planned_counts_whatever_is_configured_when_it_is_taken_again() -> None:
    rule = ContentRule(name="leeks", words=("Leek",), on="answer")
    changed = control(tenant(content_rules=(rule,)), route(postprocess=PostProcess(min_chars=99)))

    def now(event: Completion) -> Outcome:
        return decide(event, view(GivenResponses(), control=changed, now_ms=NOW_MS + 3_000))

    assert on(DISPATCH["normal"], forwarded(now(answered())), Dispatch) == [asked_again(answered())]
    (response,) = on(RESPONSES, forwarded(now(says('{"score": 0.7}'))), Response)
    assert (response.status, response.steps) == ("ok", {"judge": "0.7"})


def test_a_budget_counts_answer_and_judge_once_and_holds_until_the_verdict() -> None:
    ledger = Ledger(budget())
    assert ledger.admits("r-1")
    rows = rows_of(says('{"score": 0.85}'))

    ledger.take(rows[0], 1, NOW_MS)
    assert ledger.held() > 0

    for offset, row in ((2, rows[1]), (1, rows[0]), (2, rows[1])):
        ledger.take(row, offset, NOW_MS)
    assert (ledger.spent(), ledger.held()) == (response_to(says('{"score": 0.85}')).cost_usd, 0)
