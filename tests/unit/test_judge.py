"""Another model's word on an answer: who is asked, what it reads, what its verdict does, and what stays as it was."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from schemas.base import load_json
from schemas.cached import Fill
from schemas.flow import Again, Completion, Dispatch, Needs
from schemas.postprocess import JudgeRule
from schemas.prompt import AssistantMessage, ImagePart, ImageUrl, Prompt, TextPart, UserMessage
from schemas.response import Failure, FunctionCall, Output, ToolCall
from schemas.topics import CACHE, DISPATCH
from streams.answers.rounds import MOST_CARRIED_BYTES
from streams.questions import prompt_of
from streams.runtime.stage import Stateless
from streams.stages.route import decide as decide_route
from tests.unit.examples import (
    NOW_MS,
    answer,
    attempt,
    carried,
    control,
    deployment,
    failed_attempt,
    forwarded,
    miss,
    on,
    prompt,
    records_of,
    route,
    tenant,
    ticket,
    view,
)
from tests.unit.judging import (
    CALL_USD,
    CHEAP,
    DEAR,
    JUDGED_ROUTE,
    PIXEL,
    RULES,
    answered,
    finals,
    guarded,
    lost,
    plan_of,
    planned,
    says,
)
from tests.unit.rounds import asked_again, decided, response_to, rows_of


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
