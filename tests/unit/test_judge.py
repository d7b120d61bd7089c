"""Another model's word on an answer: who is asked, what it reads, what its verdict does, and what stays as it was."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from schemas.base import load_json
from schemas.cached import Fill
from schemas.call import CallRow
from schemas.content import AnswerGuard, AnswerRule, ContentRule
from schemas.control import Judge, RouteTarget, Tenant
from schemas.flow import Again, Completion, Dispatch, Needs, Plan, Round, Target
from schemas.postprocess import AnswerRules, JudgeRule, PostProcess
from schemas.prompt import AssistantMessage, ImagePart, ImageUrl, Prompt, TextPart, UserMessage
from schemas.response import Failure, FunctionCall, Output, Response, ToolCall
from schemas.topics import CACHE, CALLS, DISPATCH, RESPONSES
from scripts.cli.cache_topic import warmed
from streams.answers.rounds import MOST_CARRIED_BYTES, again_for
from streams.content.guard import NO_GUARD
from streams.questions import prompt_of
from streams.runtime.outcome import Outcome
from streams.runtime.stage import Stateless
from streams.stages.invoke import Backoff, Call, End, Step, next_step
from streams.stages.postprocess import decide
from streams.stages.route import decide as decide_route
from streams.state.given_responses import GivenResponses
from tests.unit.examples import (
    NOW_MS,
    admitted,
    answer,
    attempt,
    breaker,
    carried,
    completion,
    control,
    deployment,
    dispatch,
    failed_attempt,
    forwarded,
    miss,
    on,
    plan,
    prompt,
    records_of,
    route,
    slot_of,
    tenant,
    ticket,
    view,
)
from tests.unit.spending import Ledger, budget

CALL_USD = Decimal("0.000013")
PIXEL = "data:image/png;base64,iVBORw0KGgo="
CHEAP = Target(deployment="openai-1", provider="openai", model="gpt-5-mini")
DEAR = Target(deployment="dear", provider="openai", model="gpt-4o")
JUDGE = Target(deployment="judge", provider="openai", model="gpt-4o-mini", why="judge")
SPARE = Target(deployment="spare", provider="openai", model="gpt-4o-mini", why="judge")
RULES = AnswerRules(judge=JudgeRule(at_least=0.7), cascade=True)


def planned(rules: AnswerRules = RULES, **changes: Any) -> Plan:
    facts: dict[str, Any] = {"targets": (CHEAP, DEAR, JUDGE), "judge_from": 2, "rules": rules, "guard": NO_GUARD}
    return replace(plan(max_attempts=4), **{**facts, **changes})


def answered(content: str = "Leek.", rules: AnswerRules = RULES, **changes: Any) -> Completion:
    """Passes all that the rules ask, and may be judged."""
    facts: dict[str, Any] = {
        "plan": planned(rules),
        "answer": answer(content),
        "again": Again(prompt=carried(prompt("Which crop?")), input_tokens=10),
        "slot": slot_of(admitted()),
        **changes,
    }
    return completion(**facts)


def decided(event: Completion, state: GivenResponses | None = None) -> Outcome:
    return decide(event, view(state or GivenResponses(), now_ms=NOW_MS + 3_000))


def asked_again(event: Completion) -> Dispatch:
    (found,) = on(DISPATCH["normal"], forwarded(decided(event)), Dispatch)
    return found


def response_to(event: Completion) -> Response:
    (found,) = on(RESPONSES, forwarded(decided(event)), Response)
    return found


def rows_of(event: Completion, state: GivenResponses | None = None) -> list[CallRow]:
    return on(CALLS, records_of(decided(event, state)), CallRow)


def finals(rows: list[CallRow]) -> dict[str, bool]:
    return {row.attempt_id: row.is_final for row in rows}


def given(event: Completion) -> GivenResponses:
    state = GivenResponses()
    state.apply(response_to(event), NOW_MS)
    return state


def says(content: str | None, event: Completion | None = None, **changes: Any) -> Completion:
    """What comes of a judge's round: of that answer, or of an ordinary one."""
    asked = asked_again(event or answered())
    assert asked.round is not None
    number = len(asked.round.attempts) + 1
    at_ms = asked.ticket.stamps["invoke"] + 700
    call = attempt(
        number,
        attempt_id=f"judge-{number}",
        target_index=2,
        deployment="judge",
        model="gpt-4o-mini",
        why="judge",
        started_at_ms=at_ms - 600,
        ended_at_ms=at_ms,
        usage_raw={"prompt_tokens": 900, "completion_tokens": 9, "total_tokens": 909},
    )
    facts: dict[str, Any] = {
        "ticket": asked.ticket.stamped("invoke", at_ms),
        "status": "ok",
        "answer": replace(answer(content), model="gpt-4o-mini-2024-07-18", deployment="judge"),
        "attempts": (call,),
        "plan": asked.plan,
        "slot": asked.slot,
        "round": asked.round,
        **changes,
    }
    return Completion(**facts)


def lost(event: Completion | None = None, **changes: Any) -> Completion:
    failure = Failure(code="provider_unavailable", message="judge did not answer")
    facts: dict[str, Any] = {"status": "failed", "failure": failure, "answer": None, **changes}
    return says(None, event, **facts)


def stepped(event: Dispatch, *attempts: Any, **seen: Any) -> Step:
    known = seen.get("control") or control()
    return next_step(event, attempts, known, NOW_MS, jitter=0.5, backoff=Backoff(200, 5_000))


JUDGED_ROUTE = Judge(targets=(RouteTarget(deployment="judge", model="gpt-5-mini"),), at_least=0.7)


def plan_of(whose: Tenant | None = None, **changes: Any) -> Plan:
    """`changes`: of the judge's deployment."""
    known = control(
        whose or tenant(), deployment(region="eu"), deployment("judge", **changes), route(judge=JUDGED_ROUTE)
    )
    (found,) = on(DISPATCH["normal"], forwarded(decide_route(miss(), view(Stateless(), control=known))), Dispatch)
    return found.plan


def test_judges_stand_behind_all_targets_of_the_plan() -> None:
    found = plan_of()

    assert [target.deployment for target in found.targets] == ["openai-1", "judge"]
    assert (found.judge_from, found.targets[1].why) == (1, "judge")
    assert found.rules is not None
    assert found.rules.judge == JudgeRule(at_least=0.7)


@pytest.mark.parametrize(
    "changes",
    [
        {"whose": tenant(regions=("eu",)), "region": "us"},
        {"tiers": ("gold",)},
        {"features": {"gpt-5-mini": {"context_tokens": 1_200}}},
        {"models": {"another": "another"}},
    ],
    ids=["region", "tier", "context window", "no such model"],
)
def test_a_judge_must_qualify_as_a_target_does(changes: dict[str, Any]) -> None:
    found = plan_of(**changes)

    assert ([target.deployment for target in found.targets], found.judge_from) == (["openai-1"], None)


def test_a_judge_that_may_cost_more_than_a_cap_allows_is_not_asked() -> None:
    """It reads what the answer may be, and more: here that is 0.0003222 USD, and the answer 0.0003087."""
    priced = {"gpt-5-mini": "gpt-4o-mini"}
    known = control(deployment(models=priced), deployment("judge", models=priced), route(judge=JUDGED_ROUTE))

    def judges(most: str) -> int | None:
        event = miss(needs=Needs(max_cost_usd=Decimal(most)))
        (found,) = on(DISPATCH["normal"], forwarded(decide_route(event, view(Stateless(), control=known))), Dispatch)
        return found.plan.judge_from

    assert (judges("0.00033"), judges("0.00032")) == (1, None)


def test_a_route_without_a_judge_has_none_in_its_plan() -> None:
    outcome = decide_route(miss(), view(Stateless()))
    (found,) = on(DISPATCH["normal"], forwarded(outcome), Dispatch)

    assert (found.plan.judge_from, found.plan.rules) == (None, None)


def test_an_answer_that_passes_is_put_to_the_judge_and_nobody_is_told_yet() -> None:
    outcome = decided(answered())

    (asked,) = on(DISPATCH["normal"], forwarded(outcome), Dispatch)
    assert len(forwarded(outcome)) == 1
    assert asked.round is not None
    assert (asked.round.number, [each.attempt_id for each in asked.round.attempts]) == (1, ["attempt-1"])
    system, user = prompt_of(asked.prompt).messages
    assert '{"score": NUMBER}' in str(system.content)
    assert load_json(str(user.content)) == {
        "conversation": [{"role": "user", "content": "Which crop?"}],
        "answer": "Leek.",
    }
    assert asked.input_tokens > 50
    assert Dispatch.decode(asked.encode()) == asked


def test_the_judge_is_told_what_a_good_answer_is_here() -> None:
    rules = replace(RULES, judge=JudgeRule(at_least=0.7, instruction="A good answer names {two} crops."))

    system, _ = prompt_of(asked_again(answered(rules=rules)).prompt).messages

    assert "A good answer names {two} crops." in str(system.content)


def test_the_judge_reads_texts_and_calls_and_no_images() -> None:
    question = Prompt(
        messages=(
            UserMessage(
                role="user",
                content=(
                    TextPart(type="text", text="Which crop?"),
                    ImagePart(type="image_url", image_url=ImageUrl(url=PIXEL)),
                ),
            ),
            AssistantMessage.model_validate(
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "1", "function": {"name": "look", "arguments": '{"at":"bed"}'}}],
                }
            ),
        )
    )

    asked = asked_again(answered(again=Again(prompt=carried(question), input_tokens=10)))

    _, user = prompt_of(asked.prompt).messages
    said: Any = load_json(str(user.content))
    assert [each["content"] for each in said["conversation"]] == [
        "Which crop?\n[an image]",
        '[calls look with {"at":"bed"}]',
    ]


def test_an_answer_with_a_mark_that_is_high_enough_is_given_as_if_nobody_had_judged_it() -> None:
    event = says('{"score": 0.85}')

    response = response_to(event)

    assert (response.status, response.error, response.steps) == ("ok", None, {"judge": "0.85"})
    assert response.output is not None
    assert response.output.content == "Leek."
    assert (response.model, response.deployment) == ("gpt-5-mini-2026", "openai-1")
    assert response.usage is not None
    assert response.usage.total_tokens == 17
    assert response.route_reason == "default route"
    assert (response.attempts, response.round) == (2, 1)
    rows = rows_of(event)
    assert finals(rows) == {"judge-2": False, "attempt-1": True}
    assert response.cost_usd == sum(row.cost.total_usd or 0 for row in rows)
    assert response.cost_usd is not None
    assert response.cost_usd > CALL_USD
    by_id = {row.attempt_id: row for row in rows}
    assert by_id["attempt-1"].steps == {"judge": "0.85"}
    assert (by_id["attempt-1"].round, by_id["judge-2"].round) == (0, 1)
    assert by_id["judge-2"].route_reason == "default route; judge"
    (fill,) = [record.event for record in records_of(decided(event)) if record.topic is CACHE]
    assert isinstance(fill, Fill)
    assert (fill.answer.output.content, fill.saved.cost_usd) == ("Leek.", response.cost_usd)


@pytest.mark.parametrize(
    ("said", "note"),
    [
        ('{"score": 0.2}', "0.2"),
        ('Well:\n```json\n{"score": 0}\n```', "0"),
        ('{"score": 0.6999}', "0.69"),
    ],
)
def test_a_lower_mark_leads_to_the_next_model_which_is_asked_the_question_as_it_was(said: str, note: str) -> None:
    event = says(said)

    again = asked_again(event)

    assert again.round is not None
    assert (again.round.number, again.round.from_target, again.round.judged) == (2, 1, None)
    assert [each.attempt_id for each in again.round.attempts] == ["attempt-1", "judge-2"]
    assert prompt_of(again.prompt) == prompt("Which crop?")
    rows = rows_of(event)
    assert finals(rows) == {"judge-2": False, "attempt-1": False}
    assert {row.attempt_id: row.steps for row in rows}["attempt-1"] == {"judge": note}


def test_the_next_models_answer_is_judged_too() -> None:
    again = asked_again(says('{"score": 0.2}'))
    own = attempt(3, target_index=1, deployment="dear", model="gpt-4o")
    second = answered("Two leeks.", attempts=(own,), round=again.round)

    last = says('{"score": 0.9}', second)

    assert response_to(last).steps == {"judge": "0.9"}
    assert finals(rows_of(last)) == {"judge-4": False, "attempt-3": True}
    assert (response_to(last).attempts, response_to(last).round) == (4, 3)


def test_without_another_model_a_low_mark_ends_as_the_rules_say() -> None:
    alone = replace(RULES, cascade=False)

    failed = response_to(says('{"score": 0.2}', answered(rules=alone)))
    assert failed.error is not None
    assert (failed.status, failed.error.code) == ("failed", "invalid_output")
    assert failed.error.message == "the judge's mark is 0.2, below 0.7"
    assert finals(rows_of(says('{"score": 0.2}', answered(rules=alone)))) == {"judge-2": False, "attempt-1": True}

    answers = response_to(says('{"score": 0.2}', answered(rules=replace(alone, otherwise="answer"))))
    assert (answers.status, answers.steps) == ("ok", {"judge": "0.2"})


def test_a_cascade_ends_before_its_judges() -> None:
    last = answered(attempts=(attempt(1, target_index=1, deployment="dear", model="gpt-4o"),))

    response = response_to(says('{"score": 0.2}', last))

    assert response.error is not None
    assert (response.status, response.error.code) == ("failed", "invalid_output")


def test_an_answer_that_a_judge_held_back_is_given_when_the_models_after_it_have_none() -> None:
    climbed = asked_again(says('{"score": 0.2}', answered(rules=replace(RULES, otherwise="answer"))))
    failure = Failure(code="provider_unavailable", message="dear did not answer")
    none = answered(
        plan=climbed.plan,
        round=climbed.round,
        answer=None,
        status="failed",
        failure=failure,
        again=None,
        attempts=(failed_attempt(3, target_index=1),),
    )

    response = response_to(none)

    assert (response.status, response.steps) == ("ok", {"judge": "0.2"})
    assert response.output is not None
    assert response.output.content == "Leek."


@pytest.mark.parametrize(
    ("event", "note"),
    [
        (says("I would say it is fine."), "unreadable"),
        (says('{"score": 7}'), "unreadable"),
        (says('{"score": "high"}'), "unreadable"),
        (says(None), "unreadable"),
        (lost(), "unreachable"),
        (lost(status="expired", attempts=()), "unreachable"),
        (answered(plan=planned(targets=(CHEAP, DEAR), judge_from=None), again=None), "no_room"),
        (answered(again=None), "no_room"),
        (answered(attempts=tuple(attempt(number) for number in (1, 2, 3, 4))), "no_room"),
        (answered(plan=planned(guard=None)), "no_room"),
        (answered(ticket=ticket(deadline_ms=NOW_MS, stamps={"invoke": NOW_MS})), "no_room"),
        (answered("x" * MOST_CARRIED_BYTES), "no_room"),
    ],
    ids=[
        "prose",
        "no mark",
        "a word",
        "nothing",
        "failed",
        "deadline",
        "none qualifies",
        "none carried",
        "no attempt left",
        "rules too long to carry",
        "too late",
        "too long",
    ],
)
def test_whatever_keeps_a_judge_from_saying_a_mark_lets_the_answer_pass(event: Completion, note: str) -> None:
    response = response_to(event)

    assert (response.status, response.error, response.steps) == ("ok", None, {"judge": note})
    assert response.output is not None
    assert str(response.output.content)[:1] in "Lx"
    assert [row.attempt_id.partition("-")[0] for row in rows_of(event) if row.is_final] == ["attempt"]


@pytest.mark.parametrize(
    "event",
    [
        answered(ticket=ticket(stream=True)),
        answered(cache="stale"),
        answered(
            answer=answer(
                None,
                output=Output(tool_calls=(ToolCall(id="1", function=FunctionCall(name="look", arguments="{}")),)),
            )
        ),
    ],
    ids=["streamed", "stale", "tool call"],
)
def test_what_is_no_fresh_answer_is_not_judged(event: Completion) -> None:
    assert "judge" not in response_to(event).steps


def test_an_answer_that_does_not_pass_is_not_judged() -> None:
    again = asked_again(answered("Leek.", replace(RULES, min_chars=99)))

    assert again.round is not None
    assert (again.round.judged, again.round.from_target) == (None, 1)


def guarded(action: Any) -> Plan:
    rule = AnswerRule(name="names", words=("Leek",), patterns=(), max_chars=None, action=action)
    return planned(guard=AnswerGuard(rules=(rule,)))


def test_the_judge_reads_an_answer_as_it_may_be_given() -> None:
    asked = asked_again(answered(plan=guarded("mask")))

    _, user = prompt_of(asked.prompt).messages
    assert "Leek" not in str(user.content)
    assert "[REMOVED]" in str(user.content)
    response = response_to(says('{"score": 1}', answered(plan=guarded("mask"))))
    assert response.output is not None
    assert response.output.content == "[REMOVED]."


def test_an_answer_that_is_held_back_is_read_by_no_judge() -> None:
    response = response_to(answered(plan=guarded("refuse")))

    assert response.error is not None
    assert (response.error.code, response.steps) == ("content_blocked", {"content_rules": "blocked: names"})


def judging(*attempts: Any, **changes: Any) -> Dispatch:
    targets = (CHEAP, DEAR, JUDGE, SPARE)
    asked = asked_again(answered(plan=planned(targets=targets)))
    assert asked.round is not None
    return replace(asked, round=replace(asked.round, attempts=(*asked.round.attempts, *attempts)), **changes)


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
