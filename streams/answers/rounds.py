"""Whether a request is asked once more because of its answer, whom, and with what.

Decided by what the completion says alone, its time included: taken again after a crash, it leads to the same round.
"""

from collections.abc import Sequence

from msgspec import Raw
from msgspec.structs import replace

from schemas.attempt import Attempt
from schemas.flow import Again, Answer, Completion, Dispatch, Plan, Round, Ticket, asked_in, is_judging
from schemas.prompt import MOST_MESSAGES, AssistantMessage, Message, Params, Prompt, UserMessage
from streams.answers.pipeline import Processed
from streams.answers.step import Wanting
from streams.answers.structure import with_parsed
from streams.cost.tokens import guess_tokens
from streams.questions import prompt_of

MOST_CARRIED_BYTES = 5 * 1024 * 1024
"""Of prompt and answer together, where a topic takes six: a longer one is asked once."""
_QUOTED_CHARS = 16_000
_TOLD = (
    "That answer cannot be used: {problem}. Answer the question again, with nothing but JSON that is as it was asked."
)


def again_for(
    dispatch: Dispatch, answer: Answer, attempts: Sequence[Attempt], params: Params, now_ms: int
) -> Again | None:
    """What a completion carries so that another round may follow; None, as nearly always, where none can.
    `attempts`: of this round, the last of which was answered.
    """
    plan, asked = dispatch.plan, dispatch.round
    made = len(attempts) + (len(asked.attempts) if asked else 0)
    if is_judging(asked):
        return None  # the answer that is judged has it
    if plan.rules is None or not has_room(dispatch.ticket, plan, made, now_ms):
        return None
    may_be_judged = plan.judge_from is not None and not answer.output.tool_calls
    may_be_told = params.wants_json and plan.rules.structure != "off" and _may_re_ask(plan, asked)
    if not (may_be_judged or may_be_told) and _next_level(plan, attempts[-1].target_index) is None:
        return None
    answers_bytes = 2 * _bytes(answer) + (_bytes(asked.held) if asked and asked.held else 0)
    if len(memoryview(dispatch.prompt)) + answers_bytes > MOST_CARRIED_BYTES:
        return None
    return Again(prompt=dispatch.prompt, input_tokens=dispatch.input_tokens)


def next_round(completion: Completion, seen: Processed, wanting: Wanting) -> Dispatch | None:
    """None when the request ends here. `seen` is the answer that was found wanting."""
    plan, again, before = completion.plan, completion.again, completion.round
    made, ended_ms = in_order(completion), completion.ticket.stamps.get("invoke", 0)
    if plan is None or again is None or not completion.attempts:
        return None
    if not has_room(completion.ticket, plan, len(made), ended_ms):
        return None
    now = Round(number=1, attempts=made) if before is None else replace(before, number=before.number + 1, attempts=made)
    if plan.rules is not None and plan.rules.otherwise == "answer":
        output = with_parsed(seen.answer.output) if completion.parse_json else seen.answer.output
        now = replace(now, held=replace(seen.answer, output=output), held_steps=seen.steps)
    told = _told(again, seen.answer, wanting) if wanting.is_mendable and _may_re_ask(plan, before) else None
    if told is not None:
        again, now = told, replace(now, re_asked=now.number)
    elif (level := _next_level(plan, completion.attempts[-1].target_index)) is not None:
        again, now = as_first_asked(again, before), replace(now, from_target=level)
    else:
        return None
    return Dispatch(
        ticket=completion.ticket,
        prompt=again.prompt,
        input_tokens=again.input_tokens,
        slot=completion.slot,
        plan=plan,
        round=now,
    )


def in_order(completion: Completion) -> tuple[Attempt, ...]:
    """Of all rounds. A judge's stand before those whose answer it judged, which ended the request."""
    return tuple(sorted(completion.all_attempts, key=lambda attempt: attempt.attempt_no))


def _bytes(answer: Answer) -> int:
    return len((answer.output.content or "").encode())


def has_room(ticket: Ticket, plan: Plan, made: int, now_ms: int) -> bool:
    """One budget of attempts and one deadline over all rounds. What is streamed has been read: it stays."""
    in_time = ticket.deadline_ms is None or now_ms < ticket.deadline_ms
    return not ticket.stream and in_time and made < plan.max_attempts


def _may_re_ask(plan: Plan, asked: Round | None) -> bool:
    """Once for a request, whatever becomes of it."""
    return plan.rules is not None and plan.rules.re_ask and (asked is None or not asked.re_asked)


def _next_level(plan: Plan, index: int) -> int | None:
    """Where the next model begins: other deployments of the same one would say the same."""
    if plan.rules is None or not plan.rules.cascade:
        return None
    here = plan.targets[index].model
    later = asked_in(plan, None)[index + 1 :]
    return next((each for each in later if plan.targets[each].model != here), None)


def _told(again: Again, answer: Answer, wanting: Wanting) -> Again | None:
    """None where the conversation has no room for two messages more."""
    prompt = prompt_of(again.prompt)
    if len(prompt.messages) + 2 > MOST_MESSAGES:
        return None
    quoted = (answer.output.content or "").strip()[:_QUOTED_CHARS] or "(nothing)"
    told = _TOLD.format(problem=wanting.problem)
    said = (AssistantMessage(role="assistant", content=quoted), UserMessage(role="user", content=told))
    return Again(
        prompt=_carried(prompt, (*prompt.messages, *said)),
        input_tokens=again.input_tokens + guess_tokens(quoted) + guess_tokens(told),
    )


def as_first_asked(again: Again, before: Round | None) -> Again:
    """Another model need not be told of an answer that it did not give."""
    if before is None or before.re_asked != before.number:
        return again
    prompt = prompt_of(again.prompt)
    return replace(again, prompt=_carried(prompt, prompt.messages[:-2]))


def _carried(prompt: Prompt, messages: tuple[Message, ...]) -> Raw:
    return Raw(prompt.model_copy(update={"messages": messages}).encode())
