"""The question in a record from between the stages, with all that its request said and the record still has."""

from dataclasses import dataclass
from decimal import Decimal

from schemas.flow import Again, CacheSlot, MaybeNeeds, PromptBytes, Round, Summary, Ticket
from schemas.topics import MISSES, Topic
from schemas.wire import DecodeError, InternalEvent
from streams.answers.rounds import as_first_asked
from streams.questions import chosen_in
from streams.runtime.delivery import Delivery


class _Question(InternalEvent):
    """What all events with a question still to be asked have in common."""

    ticket: Ticket
    prompt: PromptBytes
    input_tokens: int


class _Beside(InternalEvent):
    """What some of them have. Read apart: it may be what could not be read."""

    summary: Summary = None
    slot: CacheSlot | None = None
    needs: MaybeNeeds = None


class _Asked(InternalEvent):
    round: Round | None = None


class _Ticket(InternalEvent):
    tenant_id: str | None = None


class _Whose(InternalEvent):
    ticket: _Ticket | None = None
    tenant_id: str | None = None

    @property
    def tenant(self) -> str | None:
        return self.tenant_id if self.ticket is None else self.ticket.tenant_id


@dataclass(frozen=True, slots=True)
class Question:
    """`lost`: what a request may say and this record does not, by field."""

    ticket: Ticket
    prompt: PromptBytes
    input_tokens: int
    chosen: str | None
    max_cost_usd: Decimal | None
    lost: tuple[str, ...]
    paid_calls: int


def question_in(record: Delivery, topic: Topic) -> Question:
    """As it was asked first. Raises DecodeError."""
    value = record.value or b""
    asked, beside = _Question.decode(value), _beside(value)
    tenant_id, before = asked.ticket.tenant_id or "", _Asked.decode(value).round
    first = _first(asked, before)
    summary, slot = (None, None) if beside is None else (beside.summary, beside.slot)
    needs = summary.needs if summary else beside.needs if beside else None
    namespace = summary.namespace if summary else slot.namespace if slot else None
    says_needs = beside is not None and (summary is not None or topic.name == MISSES.name)
    lost = [] if says_needs else ["max_cost_usd"]
    if namespace is None and asked.ticket.cache != "off":
        lost.append("cache_namespace")
    return Question(
        ticket=asked.ticket,
        prompt=first.prompt,
        input_tokens=first.input_tokens,
        chosen=None if namespace is None else chosen_in(tenant_id, namespace),
        max_cost_usd=None if needs is None else needs.max_cost_usd,
        lost=tuple(lost),
        paid_calls=0 if before is None else len(before.attempts),
    )


def _first(asked: _Question, before: Round | None) -> Again:
    """A judge was asked about the answer, and not what its request asks. Raises DecodeError."""
    if before is None or before.judged is None:
        return as_first_asked(Again(prompt=asked.prompt, input_tokens=asked.input_tokens), before)
    if before.judged.again is None:
        raise DecodeError("a judge's question is not that of its request, which is not there")
    return as_first_asked(before.judged.again, before.judged.round)


def tenant_in(record: Delivery) -> str | None:
    """Whose it is, as the record itself says: on `llm.requests` that is its sender's claim. None where it does not."""
    try:
        return _Whose.decode(record.value or b"").tenant
    except DecodeError:
        return None


def _beside(value: bytes) -> _Beside | None:
    try:
        return _Beside.decode(value)
    except DecodeError:
        return None
