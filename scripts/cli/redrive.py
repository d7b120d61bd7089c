"""What giving a dead letter back would be: the very bytes where they came from, or the question asked anew.

A request has one terminal response. So what its requester was told has failed is never taken up again under its id: it
is asked anew under an id of its own, made of the old one and linked to it on the response and on every row. What
nobody was told of goes back as it is, and its answer comes under the id it always had.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace
from pydantic import ValidationError

from schemas.complaint import complaint
from schemas.flow import Accepted, Completion, Ticket
from schemas.request import Request
from schemas.response import Failure
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
from schemas.wire import DecodeError
from scripts.cli.dead_letter import DeadLetter
from scripts.cli.redrive_doubt import doubt_about
from scripts.cli.redrive_outcome import DoneAgain, PutBack, Redrive, Unfit
from scripts.cli.redrive_past import Past, name_of
from scripts.cli.redrive_question import question_in
from streams.control import ControlView
from streams.questions import prompt_of, summary_of
from streams.routes import choose_route
from streams.runtime.deadletter import REDRIVEN_FROM, is_ours
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import Record
from streams.runtime.stage import Stateless, View, complete_as_failed, requester_of
from streams.stages.validate import accept, ticket_of

_GIVEN_BACK = frozenset(
    topic.name for topic in (REQUESTS, VALIDATED, DEFERRED, ADMITTED, MISSES, *DISPATCH.values(), COMPLETIONS, CALLS)
)
Consent = Literal["again", "anew", "unproven"]
"""What the operator allows: to write again what was given back before, under the name it had then; to ask it anew, as
one more request; to give back what may be paid for, or answered, twice.
"""


@dataclass(frozen=True, slots=True)
class Grounds:
    """All that a redrive is decided by, besides the letter. `topics`: by full name. `model`: asked for instead."""

    control: ControlView
    past: Past
    topics: Mapping[str, Topic]
    partitions: int
    now_ms: int
    model: str | None = None
    consents: frozenset[Consent] = frozenset()


@dataclass(frozen=True, slots=True)
class _Case:
    """A letter that has all of its record, which came from `topic`."""

    letter: DeadLetter
    record: Delivery
    topic: Topic
    grounds: Grounds

    @property
    def stays_untold(self) -> bool:
        """Whether somebody waits for an answer under the id that it has."""
        return not self.letter.is_told and self.letter.reason != "request_id_reused"

    def name(self, root: str) -> str:
        given = self.grounds.past.of(self.letter, self.record.timestamp_ms)
        return name_of(
            root, self.letter, self.topic.name, self.grounds.model, given, anew="anew" in self.grounds.consents
        )


def redrive(letter: DeadLetter, record: Delivery, grounds: Grounds) -> Redrive:
    topic = grounds.topics.get(letter.origin_topic)
    lacking = _lacking(letter, topic)
    if lacking is not None or topic is None:
        return lacking or Unfit("its headers do not say where it came from")
    case = _Case(letter, record, topic, grounds)
    what = _before(case) or _what(case)
    if isinstance(what, Unfit) or "unproven" in grounds.consents:
        return what
    doubt = doubt_of(letter, record, what, grounds)
    return what if doubt is None else Unfit(f"{doubt}; give it back all the same with --unproven")


def _what(case: _Case) -> Redrive:
    is_as_it_was = case.stays_untold and case.grounds.model is None
    if case.topic.name == REQUESTS.name:
        return _of_request(case)
    if case.topic.name == CALLS.name or is_as_it_was:
        return _put_back(case)
    if case.topic.name == COMPLETIONS.name:
        return _of_completion(case)
    return _of_question(case)


def _lacking(letter: DeadLetter, topic: Topic | None) -> Unfit | None:
    if letter.origin_partition is None or letter.origin_offset is None:
        return Unfit("its headers do not say where it came from")
    if not letter.is_whole:
        return Unfit("there was no room for all of it; its topic may still have it, at the place that it names")
    if topic is not None and topic.name not in _GIVEN_BACK:
        return Unfit(f"nothing is given back to {letter.origin_topic}")
    return None


def _before(case: _Case) -> Unfit | None:
    """What was given back before, by this letter or by another of the same record or request."""
    past, consents = case.grounds.past, case.grounds.consents
    given = past.of(case.letter, case.record.timestamp_ms)
    if given is not None and not consents & {"again", "anew"}:
        by = "" if given.place == case.letter.place else f", by {given.place}"
        return Unfit(
            f"was given back before{by}; with --again it is written once more under the same id, which counts once, "
            "with --anew it is asked once more"
        )
    asked = _asked_by(case)
    if asked is None or not case.letter.is_told or "anew" in consents:
        return None
    other = past.made_good.get(asked)
    if other is None or other == case.letter.origin:
        return None
    return Unfit(f"its request was done again already, by the letter of {other}; it is asked once more with --anew")


def _asked_by(case: _Case) -> tuple[str, str] | None:
    """Tenant and id of the request that the record is about; None where it is about none, or nobody can tell."""
    if case.topic.name == CALLS.name:
        return None
    if case.topic.name == REQUESTS.name:
        try:
            request = Request.decode(case.record.value or b"")
        except ValidationError:
            return None
        return request.tenant_id, request.request_id
    requester = requester_of(case.record)
    return None if requester is None else (requester.ticket.tenant_id or "", requester.ticket.request_id)


def doubt_of(letter: DeadLetter, record: Delivery, what: PutBack | DoneAgain, grounds: Grounds) -> str | None:
    """What cannot be told of it, whether the operator allows it or not."""
    given = grounds.past.of(letter, record.timestamp_ms)
    keeps_id = isinstance(what, PutBack) or what.request_id == what.made_good
    since_ms = record.timestamp_ms if keeps_id else None
    if given is not None and isinstance(what, DoneAgain) and what.request_id == given.request_id:
        since_ms = given.at_ms
    return doubt_about(letter, grounds.topics[letter.origin_topic], since_ms, grounds.now_ms)


def _put_back(case: _Case) -> Redrive:
    letter, record, partition = case.letter, case.record, case.letter.origin_partition or 0
    if case.grounds.model is not None:
        return Unfit("is a row about a call: no other model can be asked for; leave --model out")
    if partition >= case.grounds.partitions:
        return Unfit(f"came from partition {partition}, which {letter.origin_topic} does not have")
    own = [(name, value or b"") for name, value in record.headers if not is_ours(name)]
    return PutBack(letter.origin_topic, partition, record.key, record.value, [*own, redriven_from(letter)])


def redriven_from(letter: DeadLetter) -> tuple[str, bytes]:
    return REDRIVEN_FROM, letter.place.encode()


def _of_request(case: _Case) -> Redrive:
    """From the outside world. Its key is not kept, so the operator vouches for the tenant; all else is checked."""
    letter, record, grounds = case.letter, case.record, case.grounds
    try:
        request = Request.decode(record.value or b"")
    except ValidationError as error:
        return Unfit(f"is no request: {complaint(error).message}; have its producer send it again")
    root, had_deadline = request.request_id, request.deadline_ms is not None
    request_id = case.name(root) if letter.is_told else root
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
    lost = ("deadline_ms",) if had_deadline else ()
    return DoneAgain(
        Record(VALIDATED, request.tenant_id, accepted), request.tenant_id, request_id, root, root, lost=lost
    )


def _of_question(case: _Case) -> Redrive:
    """From between the stages: let in before, and asked anew from its limits on."""
    record, grounds = case.record, case.grounds
    try:
        question = question_in(record, case.topic)
        ticket, root = _next(question.ticket, case)
        summary = summary_of(
            ticket, prompt_of(question.prompt), chosen=question.chosen, max_cost_usd=question.max_cost_usd
        )
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
    return DoneAgain(
        Record(VALIDATED, ticket.tenant_id or "", accepted),
        ticket.tenant_id or "",
        ticket.request_id,
        root,
        question.ticket.request_id,
        end=_end(case, ticket.request_id) if case.stays_untold else None,
        lost=(*(() if question.ticket.deadline_ms is None else ("deadline_ms",)), *question.lost),
        paid_calls=question.paid_calls,
    )


def _end(case: _Case, request_id: str) -> Record | None:
    """For whoever waits under the id that it had."""
    requester = requester_of(case.record)
    message = f"The request could not be handled. It is asked anew, as {request_id}: see the response of that id."
    failure = Failure(code="internal_error", message=message)
    if requester is None:
        return None
    (end,) = complete_as_failed(requester, failure, Stateless(), case.grounds.now_ms)
    return end


def _of_completion(case: _Case) -> Redrive:
    """It has its answer, which was paid for: that is given, and nobody is asked again."""
    if case.grounds.model is not None:
        return Unfit("has its answer already: no other model can be asked for; leave --model out")
    try:
        completion = Completion.decode(case.record.value or b"")
    except DecodeError as problem:
        return Unfit(f"is no completion that this release can read: {problem}")
    if completion.ticket.tenant_id is None:
        return Unfit("is about a request that no tenant was proven for, and whoever sent it was answered")
    ticket, root = _next(completion.ticket, case)
    asked = completion.round
    if asked is not None and asked.judged is not None:
        completion = replace(completion, round=replace(asked, judged=replace(asked.judged, again=None)))
    again = Record(COMPLETIONS, ticket.request_id, replace(completion, ticket=ticket, again=None))
    return DoneAgain(again, ticket.tenant_id or "", ticket.request_id, root, completion.ticket.request_id)


def _next(ticket: Ticket, case: _Case) -> tuple[Ticket, str]:
    """The ticket of the request that makes this one good, and the id of the first of them all."""
    root = ticket.root_request_id or ticket.request_id
    model = case.grounds.model or ticket.model
    return replace(ticket, request_id=case.name(root), root_request_id=root, model=model), root


def _refused(ticket: Ticket, control: ControlView) -> Unfit | None:
    tenant = control.tenants.get(ticket.tenant_id or "")
    if tenant is None or not tenant.enabled:
        return Unfit(f"tenant {ticket.tenant_id!r} is not known here any more, or switched off")
    return None


def _digest(record: Delivery, model: str) -> str:
    """The same when the same is done again under the same id, so that it counts once."""
    return hashlib.sha256(b"%b\n%b" % (model.encode(), record.value or b"")).hexdigest()
