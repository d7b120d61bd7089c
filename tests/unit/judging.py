"""An answer that is judged, and what its judge says of it."""

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from schemas.call import CallRow
from schemas.content import AnswerGuard, AnswerRule
from schemas.control import Judge, RouteTarget, Tenant
from schemas.flow import Again, Completion, Dispatch, Plan, Target
from schemas.postprocess import AnswerRules, JudgeRule
from schemas.response import Failure
from schemas.topics import DISPATCH
from streams.content.guard import NO_GUARD
from streams.runtime.stage import Stateless
from streams.stages.invoke import Backoff, Step, next_step
from streams.stages.route import decide as decide_route
from streams.state.given_responses import GivenResponses
from tests.unit.examples import (
    NOW_MS,
    admitted,
    answer,
    attempt,
    carried,
    completion,
    control,
    deployment,
    forwarded,
    miss,
    on,
    plan,
    prompt,
    route,
    slot_of,
    tenant,
    view,
)
from tests.unit.rounds import asked_again, response_to

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


def guarded(action: Any) -> Plan:
    rule = AnswerRule(name="names", words=("Leek",), patterns=(), max_chars=None, action=action)
    return planned(guard=AnswerGuard(rules=(rule,)))


def judging(*attempts: Any, **changes: Any) -> Dispatch:
    targets = (CHEAP, DEAR, JUDGE, SPARE)
    asked = asked_again(answered(plan=planned(targets=targets)))
    assert asked.round is not None
    return replace(asked, round=replace(asked.round, attempts=(*asked.round.attempts, *attempts)), **changes)
