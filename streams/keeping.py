"""Which answers are kept to be given again, and how they are kept."""

from collections.abc import Sequence
from decimal import Decimal

from msgspec.structs import replace

from schemas.cached import Fill
from schemas.flow import Completion, Saved
from schemas.response import FinishReason, Output
from schemas.usage import Usage
from streams.answers.refusal import sounds_declined
from streams.cost.booking import Booked

REPEATABLE: frozenset[FinishReason] = frozenset({"stop", "length", "tool_calls"})
"""Endings that the same question would meet again; refusals and filters are not kept."""


def fill_of(completion: Completion, paid: Sequence[Booked], stored_at_ms: int) -> Fill | None:
    """None where there is nothing that may be given again: no answer, half of one, or one that says no. What was
    streamed and what was not is kept alike, and so is the call of a tool. A hit saves what all rounds cost.
    """
    slot, answer = completion.slot, completion.answer
    if slot is None or answer is None or answer.finish_reason not in REPEATABLE or not _says_something(answer.output):
        return None
    given = given_of(completion, paid, stored_at_ms)
    if given is None:
        return None
    return replace(given, expires_at_ms=stored_at_ms + slot.expires_after_ms, meaning=slot.meaning)


def _says_something(output: Output) -> bool:
    """One that is blank, or declines in so many words, may well be another when it is asked for again."""
    if output.refusal is not None:
        return False
    return bool(output.tool_calls) or (
        bool((output.content or "").strip()) and not sounds_declined(output.content or "")
    )


def given_of(completion: Completion, paid: Sequence[Booked], stored_at_ms: int) -> Fill | None:
    """What a request got, for those who waited with it: it has expired for whoever asks later. None for no answer, for
    half of one, and for an old one.
    """
    slot, answer = completion.slot, completion.answer
    if slot is None or answer is None or not answer.complete or not paid or completion.cache != "none":
        return None
    used = next((used for attempt, used, _ in reversed(paid) if attempt.error_class is None), None)
    return Fill(
        namespace=slot.namespace,
        entry=slot.entry,
        answer=answer,
        saved=Saved(request_id=completion.ticket.request_id, usage=used or Usage(), cost_usd=_cost_of_answers(paid)),
        stored_at_ms=stored_at_ms,
        expires_at_ms=stored_at_ms,
        asked_at_ms=completion.ticket.stamps.get("cache", 0),
    )


def _cost_of_answers(paid: Sequence[Booked]) -> Decimal | None:
    """Of the attempts that were answered, one a round. None when it is not known of one of them."""
    costs = [cost.total_usd for attempt, _, cost in paid if attempt.error_class is None]
    known = [cost for cost in costs if cost is not None]
    return sum(known, Decimal(0)) if len(known) == len(costs) else None
