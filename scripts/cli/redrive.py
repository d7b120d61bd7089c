"""What giving a dead letter back would be: the very bytes where they came from, or the question asked anew.

A request has one terminal response. So what its requester was told has failed is never taken up again under its id: it
is asked anew under an id of its own, made of the old one and linked to it on the response and on every row. What
nobody was told of goes back as it is, and its answer comes under the id it always had.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace
from pydantic import ValidationError

from schemas.audit import Audit
from schemas.complaint import complaint
from schemas.flow import Accepted, Completion, PromptBytes, Ticket
from schemas.request import Request
from schemas.response import Failure
from schemas.topics import (
    ADMITTED,
    CALLS,
    COMPLETIONS,
    DISPATCH,
    MISSES,
    REQUESTS,
    VALIDATED,
    Topic,
)
from schemas.wire import DecodeError, InternalEvent
from scripts.cli.dead_letter import DeadLetter
from streams.control import ControlView
from streams.questions import prompt_of, summary_of
from streams.routes import choose_route
from streams.runtime.deadletter import HEADER_PREFIX, REDRIVEN_FROM
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import Record
from streams.runtime.stage import Stateless, View
from streams.stages.validate import accept, ticket_of

SUBJECT = "dead_letter/"
"""Before a letter's place: what an audit record of a redrive is about."""
_GIVEN_BACK = frozenset(
    topic.name for topic in (REQUESTS, VALIDATED, ADMITTED, MISSES, *DISPATCH.values(), COMPLETIONS, CALLS)
)


class _Question(InternalEvent):
    """What all events with a question still to be asked have in common."""

    ticket: Ticket
    prompt: PromptBytes
    input_tokens: int


@dataclass(frozen=True, slots=True)
class PutBack:
    """The very bytes, to `topic`, which is its full name."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class DoneAgain:
    """`record` takes the request up again, as `request_id`."""

    record: Record
    tenant_id: str
    request_id: str
    root_request_id: str


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why it cannot be given back, and what can be done instead."""

    why: str


Redrive = PutBack | DoneAgain | Unfit


@dataclass(frozen=True, slots=True)
class Past:
    """What was redriven before, as `llm.audit` says: places of letters, and how often each request was done again."""

    letters: set[str] = field(default_factory=set[str])
    times: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])

    def add(self, audit: Audit) -> None:
        if audit.action != "redriven":
            return
        self.letters.add(audit.subject.removeprefix(SUBJECT))
        if "root_request_id" in audit.detail:
            self.times[audit.detail.get("tenant", ""), audit.detail["root_request_id"]] += 1

    def next_id(self, tenant_id: str, root_request_id: str) -> str:
        return f"{root_request_id}~redrive-{self.times[tenant_id, root_request_id] + 1}"


def past_of(records: Iterable[Delivery]) -> Past:
    past = Past()
    for record in records:
        try:
            past.add(Audit.decode(record.value or b""))
        except ValidationError:  # whoever can write to the topic can write anything
            continue
    return past


@dataclass(frozen=True, slots=True)
class Grounds:
    """All that a redrive is decided by, besides the letter. `topics`: by full name. `model`: asked for instead."""

    control: ControlView
    past: Past
    topics: Mapping[str, Topic]
    partitions: int
    now_ms: int
    model: str | None = None


def redrive(letter: DeadLetter, record: Delivery, grounds: Grounds) -> Redrive:
    topic = grounds.topics.get(letter.origin_topic)
    lacking = _lacking(letter, topic)
    if lacking is not None or topic is None:
        return lacking or Unfit("its headers do not say where it came from")
    if topic.name == REQUESTS.name:
        return _of_request(letter, record, grounds)
    if topic.name == CALLS.name or not (letter.is_told or grounds.model or letter.reason == "request_id_reused"):
        return _put_back(letter, record, grounds)
    if topic.name == COMPLETIONS.name:
        return _of_completion(record, grounds)
    return _of_question(record, grounds)


def _lacking(letter: DeadLetter, topic: Topic | None) -> Unfit | None:
    if letter.origin_partition is None or letter.origin_offset is None:
        return Unfit("its headers do not say where it came from")
    if not letter.is_whole:
        return Unfit("there was no room for all of it; its topic may still have it, at the place that it names")
    if topic is not None and topic.name not in _GIVEN_BACK:
        return Unfit(f"nothing is given back to {letter.origin_topic}")
    return None


def _put_back(letter: DeadLetter, record: Delivery, grounds: Grounds) -> Redrive:
    partition = letter.origin_partition or 0
    if grounds.model is not None:
        return Unfit("is a row about a call: no other model can be asked for; leave --model out")
    if partition >= grounds.partitions:
        return Unfit(f"came from partition {partition}, which {letter.origin_topic} does not have")
    return PutBack(letter.origin_topic, partition, record.key, record.value, _headers(letter, record))


def redriven_from(letter: DeadLetter) -> tuple[str, bytes]:
    return REDRIVEN_FROM, letter.place.encode()


def _headers(letter: DeadLetter, record: Delivery) -> list[tuple[str, bytes]]:
    """As it had them before it was buried."""
    own = [(name, value or b"") for name, value in record.headers if not name.startswith(HEADER_PREFIX)]
    return [*own, redriven_from(letter)]


def _of_request(letter: DeadLetter, record: Delivery, grounds: Grounds) -> Redrive:
    """From the outside world. Its key is not kept, so the operator vouches for the tenant; all else is checked."""
    try:
        request = Request.decode(record.value or b"")
    except ValidationError as error:
        return Unfit(f"is no request: {complaint(error).message}; have its producer send it again")
    root = request.request_id
    request_id = grounds.past.next_id(request.tenant_id, root) if letter.is_told else root
    changed: dict[str, object] = {"request_id": request_id, "deadline_ms": None}
    if grounds.model is not None:
        changed["model"] = grounds.model
    request = request.model_copy(update=changed)
    origin = Delivery(
        topic=letter.origin_topic,
        partition=letter.origin_partition or 0,
        offset=letter.origin_offset or 0,
        key=record.key,
        value=record.value,
        headers=record.headers,
        timestamp_ms=grounds.now_ms,
    )
    view = View(grounds.control, Stateless(), grounds.now_ms, origin)
    ticket = ticket_of(request, origin, view)
    ticket = replace(ticket, root_request_id=root if letter.is_told else None)
    if (problem := _refused(ticket, grounds.control)) is not None:
        return problem
    accepted = accept(request, ticket, origin, view)
    if isinstance(accepted, Failure):
        return Unfit(accepted.message)
    if letter.is_told:  # or it is the same content as what its producer may have sent again
        accepted = replace(accepted, digest=_digest(record, request.model))
    return _done_again(Record(VALIDATED, request.tenant_id, accepted), ticket, root)


def _of_question(record: Delivery, grounds: Grounds) -> Redrive:
    """From between the stages: let in before, and asked anew from its limits on."""
    try:
        question = _Question.decode(record.value or b"")
        ticket, root = _next(question.ticket, grounds)
        summary = summary_of(ticket, prompt_of(question.prompt))
    except DecodeError as problem:
        return Unfit(f"holds no question that this release can read: {problem}")
    ticket = replace(
        ticket,
        deadline_ms=None,
        produced_at_ms=grounds.now_ms,
        stamps={"validate": grounds.now_ms},
        config_version=grounds.control.version,
    )
    if (problem := _refused(ticket, grounds.control)) is not None:
        return problem
    if choose_route(grounds.control, ticket) is None:
        return Unfit(f"model {ticket.model!r} is not served here; name another with --model")
    accepted = Accepted(
        ticket=ticket,
        prompt=question.prompt,
        digest=_digest(record, ticket.model),
        input_tokens=question.input_tokens,
        summary=summary,
    )
    return _done_again(Record(VALIDATED, ticket.tenant_id or "", accepted), ticket, root)


def _of_completion(record: Delivery, grounds: Grounds) -> Redrive:
    """It has its answer, which was paid for: that is given, and nobody is asked again."""
    if grounds.model is not None:
        return Unfit("has its answer already: no other model can be asked for; leave --model out")
    try:
        completion = Completion.decode(record.value or b"")
    except DecodeError as problem:
        return Unfit(f"is no completion that this release can read: {problem}")
    if completion.ticket.tenant_id is None:
        return Unfit("is about a request that no tenant was proven for, and whoever sent it was answered")
    ticket, root = _next(completion.ticket, grounds)
    again = replace(completion, ticket=ticket, again=None)
    return _done_again(Record(COMPLETIONS, ticket.request_id, again), ticket, root)


def _next(ticket: Ticket, grounds: Grounds) -> tuple[Ticket, str]:
    """The ticket of the request that makes this one good, and the id of the first of them all."""
    root = ticket.root_request_id or ticket.request_id
    request_id = grounds.past.next_id(ticket.tenant_id or "", root)
    model = grounds.model or ticket.model
    return replace(ticket, request_id=request_id, root_request_id=root, model=model), root


def _refused(ticket: Ticket, control: ControlView) -> Unfit | None:
    tenant = control.tenants.get(ticket.tenant_id or "")
    if tenant is None or not tenant.enabled:
        return Unfit(f"tenant {ticket.tenant_id!r} is not known here any more, or switched off")
    return None


def _done_again(record: Record, ticket: Ticket, root: str) -> DoneAgain:
    return DoneAgain(record, ticket.tenant_id or "", ticket.request_id, root)


def _digest(record: Delivery, model: str) -> str:
    """The same when the same is done again under the same id, so that it counts once."""
    return hashlib.sha256(b"%b\n%b" % (model.encode(), record.value or b"")).hexdigest()
