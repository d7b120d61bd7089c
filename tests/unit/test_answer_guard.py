"""What an answer is held to goes with it: taken again after a crash it comes to the same end, whatever is said by then.
And what a rule holds back saves nothing, is kept by nobody, and is on its row.
"""

from decimal import Decimal
from typing import Any

import pytest

from schemas.cached import Fill
from schemas.call import CallRow
from schemas.content import AnswerGuard, ContentRule, Redaction
from schemas.flow import Completion, Dispatch, Saved
from schemas.response import Response
from schemas.topics import CACHE, CALLS, RESPONSES
from schemas.usage import Usage
from scripts.cli.cache_topic import warmed
from streams.content.guard import MOST_CARRIED_BYTES, NO_GUARD, carried
from streams.control import ControlView
from streams.runtime.outcome import Record
from streams.runtime.stage import Stateless
from streams.stages import cache, postprocess
from streams.stages import route as route_stage
from streams.state.given_responses import GivenResponses
from streams.state.kept_answers import KeptAnswers
from tests.unit.examples import (
    NOW_MS,
    admitted,
    answer,
    completion,
    control,
    deployment,
    finished,
    forwarded,
    miss,
    on,
    plan,
    records_of,
    route,
    slot_of,
    tenant,
    ticket,
    view,
)

RULE = ContentRule(name="no-recipes", words=("thyme",))
BLOTTED = ContentRule(name="no-recipes", words=("thyme",), on="answer", action="mask")
SLOT = slot_of(admitted())
SAVED = Saved(request_id="r-0", usage=Usage(), cost_usd=Decimal("0.002100000"))


def saying(*rules: ContentRule, redaction: Redaction | None = None) -> ControlView:
    return control(tenant(content_rules=rules, redaction=redaction), deployment(), route())


def guard_in(said: ControlView) -> AnswerGuard | None:
    return carried(said, ticket())


def asked_under(said: ControlView, content: str = "It is thyme, says ada@example.org.") -> Completion:
    return completion(answer=answer(content), plan=plan(guard=guard_in(said)), slot=SLOT)


def hit_under(said: ControlView, content: str = "It is thyme.", **changes: Any) -> Completion:
    facts: dict[str, Any] = {"cache": "exact", "saved": SAVED, "attempts": (), "plan": None, **changes}
    return completion(answer=answer(content), own_guard=guard_in(said), **facts)


def judged(event: Completion, said: ControlView, state: GivenResponses | None = None) -> tuple[Record, ...]:
    return records_of(postprocess.decide(event, view(state or GivenResponses(), control=said)))


def kept_of(records: tuple[Record, ...]) -> list[Any]:
    return [record.event for record in records if record.topic is CACHE]


SAID = {
    "nothing": saying(),
    "refuse": saying(RULE),
    "mask": saying(BLOTTED),
    "redact": saying(redaction=Redaction(entities=("email",), of="both")),
}


@pytest.mark.parametrize("then", SAID)
@pytest.mark.parametrize("later", SAID)
def test_a_completion_that_is_taken_again_under_other_rules_comes_to_the_same_end(then: str, later: str) -> None:
    for event in (asked_under(SAID[then]), hit_under(SAID[then])):
        first = judged(event, SAID[then])
        (response,) = on(RESPONSES, first, Response)
        state = GivenResponses()
        state.apply(response, NOW_MS)

        again = judged(event, SAID[later], state)

        assert on(RESPONSES, again, Response) == []
        assert on(CALLS, again, CallRow) == on(CALLS, first, CallRow)
        assert [row.is_final for row in on(CALLS, again, CallRow)] == [True]
        assert kept_of(again) == kept_of(first)


def test_a_plan_and_a_hit_carry_what_is_said_of_answers_and_of_nothing_else() -> None:
    said = saying(
        RULE, ContentRule(name="of-prompts", words=("x",), on="prompt"), redaction=Redaction(entities=("iban",))
    )
    (record,) = forwarded(route_stage.decide(miss(), view(Stateless(), control=said)))
    assert isinstance(record.event, Dispatch)
    assert record.event.plan.guard == guard_in(said)
    assert record.event.plan.guard is not None
    assert [rule.name for rule in record.event.plan.guard.rules] == ["no-recipes"]
    assert record.event.plan.guard.redacted == ()

    (fill,) = on(CACHE, judged(asked_under(saying()), saying()), Fill)
    kept = KeptAnswers()
    kept.apply(fill, NOW_MS)
    assert finished(cache.decide(admitted("r-2"), view(kept, control=said))).guard == guard_in(said)


def test_where_nobody_says_anything_that_is_said() -> None:
    assert guard_in(saying()) == NO_GUARD
    assert guard_in(saying(ContentRule(name="of-prompts", words=("x",), on="prompt"))) == NO_GUARD


def test_rules_too_long_to_be_carried_are_obeyed_as_they_are_when_the_answer_is_looked_at() -> None:
    words = tuple(f"{'thyme' * 15}{n}" for n in range(999))
    assert sum(map(len, words)) > MOST_CARRIED_BYTES
    long = saying(ContentRule(name="many", words=(*words, "thyme")))
    assert guard_in(long) is None
    assert on(RESPONSES, judged(asked_under(long), long), Response)[0].status == "failed"


def test_an_answer_from_before_rules_were_carried_is_held_to_those_of_now() -> None:
    assert on(RESPONSES, judged(completion(answer=answer("thyme")), SAID["refuse"]), Response)[0].status == "failed"


def test_a_hit_that_a_rule_holds_back_saves_nothing() -> None:
    held = judged(hit_under(SAID["refuse"]), SAID["refuse"])
    given = judged(hit_under(SAID["nothing"]), SAID["nothing"])

    assert [each.saved_usd for each in on(RESPONSES, held, Response)] == [None]
    assert [row.saved_usd for row in on(CALLS, held, CallRow)] == [None]
    assert [row.saved_usd for row in on(CALLS, given, CallRow)] == [SAVED.cost_usd]


@pytest.mark.parametrize(
    ("said", "note"),
    [
        ("refuse", {"content_rules": "blocked: no-recipes"}),
        ("mask", {"content_rules": "masked: no-recipes"}),
        ("nothing", {}),
    ],
)
def test_what_is_done_to_a_hit_is_on_its_row(said: str, note: dict[str, str]) -> None:
    records = judged(hit_under(SAID[said]), SAID[said])
    (row,) = on(CALLS, records, CallRow)
    assert row.steps == note
    assert set(row.step_us) == ({"content"} if note else set())
    assert on(RESPONSES, records, Response)[0].steps == note


@pytest.mark.parametrize("then", SAID)
def test_what_warms_the_cache_is_what_was_kept_of_the_answer(then: str) -> None:
    event = asked_under(SAID[then])
    (kept,) = kept_of(judged(event, SAID[then]))
    put_there = warmed(event, SAID["nothing"], NOW_MS)
    assert (kept.answer if isinstance(kept, Fill) else None) == (put_there and put_there.answer)
    if then in {"mask", "redact"}:
        assert put_there is not None
        assert (b"thyme" in put_there.encode(), b"ada@" in put_there.encode()) == (then == "redact", then == "mask")
