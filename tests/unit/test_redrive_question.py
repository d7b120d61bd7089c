"""What is asked when a dead letter is given back: all that its request said, of whom it was asked, and nothing else."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from schemas.base import Event
from schemas.flow import Again, CacheSlot, Completion, Needs, Round
from schemas.postprocess import AnswerRules, JudgeRule
from schemas.prompt import AssistantMessage, UserMessage
from schemas.response import Response
from schemas.topics import (
    ADMITTED,
    CALLS,
    COMPLETIONS,
    DEFERRED,
    DISPATCH,
    MISSES,
    REQUESTS,
    VALIDATED,
    Topic,
)
from scripts.cli.redrive_outcome import Unfit
from streams.questions import chosen_namespace, prompt_of
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import Forward
from streams.stages import postprocess
from streams.state.given_responses import GivenResponses
from tests.unit.examples import (
    DIGEST,
    NOW_MS,
    accepted,
    admitted,
    answer,
    attempt,
    completion,
    control,
    deployment,
    dispatch,
    miss,
    plan,
    prompt,
    request_json,
    route,
    tenant,
    ticket,
    view,
)
from tests.unit.redriving import LATER_MS, deferred, done_again, given_back, letter, question


@pytest.mark.parametrize("topic", [VALIDATED, DEFERRED, ADMITTED, MISSES], ids=lambda topic: topic.name)
def test_all_that_the_request_said_is_said_again(topic: Topic) -> None:
    needs, named = Needs(max_tokens=9, max_cost_usd=Decimal("0.25")), chosen_namespace("acme", "v7")
    found = accepted().summary
    assert found is not None
    said = replace(found, namespace=f"{named}{DIGEST}", entry=f"{named}{DIGEST}/{DIGEST}", needs=needs)
    slot = CacheSlot(namespace=said.namespace, entry=said.entry, expires_after_ms=1)
    events: dict[str, Event] = {
        "validated": replace(accepted(), summary=said),
        "deferred": replace(deferred(), summary=said),
        "admitted": replace(admitted(), summary=said),
        "misses": miss(slot=slot, needs=needs),
    }
    redriven = given_back(letter(topic, events[topic.name].encode()))
    asked = question(redriven)
    assert asked.summary is not None
    assert asked.summary.needs is not None
    assert asked.summary.needs.max_cost_usd == Decimal("0.25")
    assert asked.summary.namespace.startswith(named)
    assert asked.summary.entry.startswith(asked.summary.namespace)
    assert done_again(redriven).lost == ()


def test_what_the_record_has_not_kept_of_the_request_is_named() -> None:
    asked = ticket(deadline_ms=NOW_MS + 1)
    bare = done_again(given_back(letter(DISPATCH["low"], dispatch(ticket_=asked).encode()), "unproven"))
    assert bare.lost == ("deadline_ms", "max_cost_usd", "cache_namespace")
    spoilt = accepted().encode().replace(b'"summary":{', b'"summary":{"namespace":5,', 1)
    assert done_again(given_back(letter(VALIDATED, spoilt))).lost == ("max_cost_usd", "cache_namespace")


def test_a_round_that_told_a_model_what_was_wrong_is_asked_as_the_question_was_first() -> None:
    first = prompt()
    said = (AssistantMessage(role="assistant", content="{"), UserMessage(role="user", content="That cannot be used"))
    told = first.model_copy(update={"messages": (*first.messages, *said)})
    asked = replace(
        dispatch(), prompt=Raw(told.encode()), round=Round(number=1, attempts=(attempt(), attempt()), re_asked=1)
    )
    redriven = done_again(given_back(letter(DISPATCH["low"], asked.encode()), "unproven"))
    assert prompt_of(question(redriven).prompt).messages == first.messages
    assert redriven.paid_calls == 2


def test_what_a_judge_was_asked_is_never_asked_in_its_requests_name() -> None:
    first = prompt()
    judged = completion(again=Again(prompt=Raw(first.encode()), input_tokens=10))
    asked = replace(
        dispatch(),
        prompt=Raw(prompt("Judge it.").encode()),
        round=Round(number=1, attempts=(attempt(),), judged=judged),
    )

    redriven = done_again(given_back(letter(DISPATCH["low"], asked.encode()), "unproven"))

    assert prompt_of(question(redriven).prompt) == first
    assert redriven.paid_calls == 1


def test_a_judges_completion_gives_the_answer_that_it_judged_and_leads_to_nobody_else() -> None:
    judged = completion(again=Again(prompt=Raw(prompt().encode()), input_tokens=10), plan=None)
    said = completion(
        answer=answer('{"score": 0.1}'),
        attempts=(attempt(2),),
        round=Round(number=1, attempts=(attempt(),), judged=judged),
        plan=replace(plan(max_attempts=5), rules=AnswerRules(judge=JudgeRule(at_least=0.5), cascade=True)),
    )

    redriven = done_again(given_back(letter(COMPLETIONS, said.encode()), "unproven"))

    end = redriven.record.event
    assert isinstance(end, Completion)
    outcome = postprocess.decide(end, view(GivenResponses(), now_ms=LATER_MS))
    assert isinstance(outcome, Forward)
    (response,) = [record.event for record in outcome.records if isinstance(record.event, Response)]
    assert response.request_id == redriven.request_id
    assert response.output is not None
    assert response.output.content == "Yes."


def test_another_model_is_asked_where_that_is_said_also_for_what_nobody_was_told_of() -> None:
    served = control(deployment("spare", "gpt-spare"), route("spare", "spare", models=("gpt-spare",)))
    record = letter(MISSES, miss().encode(), told=False)
    asked = question(given_back(record, model="gpt-spare", view=served))
    assert (asked.ticket.model, asked.ticket.root_request_id) == ("gpt-spare", "r-1")
    same = question(given_back(letter(MISSES, miss().encode()), view=served))
    assert asked.summary is not None
    assert same.summary is not None
    assert asked.summary.namespace != same.summary.namespace
    assert asked.digest != same.digest


def test_a_request_is_vouched_for_by_the_operator_and_checked_in_all_else() -> None:
    strict = control(tenant(open_=False, key_sha256=("ab" * 32,), default_max_tokens=77))
    asked = question(given_back(letter(REQUESTS, request_json(deadline_ms=NOW_MS)), view=strict))
    assert (asked.ticket.request_id, asked.ticket.root_request_id) == ("r-1~redrive-requests.1.91", "r-1")
    assert (asked.ticket.origin.partition, asked.ticket.origin.offset) == (1, 91)
    assert prompt_of(asked.prompt).params.max_tokens == 77
    refused = given_back(letter(REQUESTS, request_json(model="unheard-of")), view=strict)
    assert isinstance(refused, Unfit)
    assert "'unheard-of' is not served here" in refused.why


def test_a_request_that_only_a_newer_release_reads_keeps_its_id() -> None:
    record = letter(REQUESTS, request_json(), told=False, reason="no_request_id")
    asked = question(given_back(record))
    assert (asked.ticket.request_id, asked.ticket.root_request_id) == ("r-1", None)


def test_an_answer_that_was_paid_for_is_given_and_booked_and_nobody_is_asked_again() -> None:
    may_lead_on = completion(again=Again(prompt=Raw(prompt().encode()), input_tokens=1))
    redriven = given_back(letter(COMPLETIONS, may_lead_on.encode()))
    again = done_again(redriven).record.event
    assert isinstance(again, Completion)
    assert again.again is None
    assert done_again(redriven).record.topic is COMPLETIONS
    outcome = postprocess.decide(again, view(GivenResponses(), now_ms=LATER_MS))
    assert isinstance(outcome, Forward)
    response, row = (record.event for record in outcome.records)
    said: dict[str, Any] = {"request_id": "r-1~redrive-completions.1.91", "root_request_id": "r-1"}
    for event in (response, row):
        assert {name: getattr(event, name) for name in said} == said
    assert isinstance(response, Response)
    assert response.status == "ok"


@pytest.mark.parametrize("record", [letter(COMPLETIONS, completion().encode()), letter(CALLS, b"{}", told=False)])
def test_no_other_model_can_be_asked_what_is_no_question(record: Delivery) -> None:
    redriven = given_back(record, model="gpt-5-mini")
    assert isinstance(redriven, Unfit)
    assert "leave --model out" in redriven.why
