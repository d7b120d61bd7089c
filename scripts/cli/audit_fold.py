"""What became of every request: the requests, the responses and the dead letters of a window folded into one report.

What is answered exactly once is an identity: a request id within its tenant, or the very record where no tenant was
proven. A record that repeats an id needs no response of its own.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

from msgspec import convert
from pydantic import ValidationError

from schemas.base import load_json
from schemas.request import Request
from schemas.response import Response
from schemas.wire import DecodeError, Origin
from scripts.cli.dead_letter import dead_letter
from scripts.cli.offsets import Spans
from streams.runtime.delivery import Delivery
from streams.stages.validate import LONGEST_ANSWERABLE_ID
from streams.state.given_responses import identity_of


class Place(NamedTuple):
    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A record of `llm.requests`. Names are None where they cannot be read; nothing of the prompt is kept."""

    place: Place
    at_ms: int
    tenant_id: str | None
    request_id: str | None
    deadline_ms: int | None

    @property
    def identity(self) -> str:
        """What its response will carry, if its tenant is proven."""
        if self.tenant_id is None or self.request_id is None:
            return f"?/{self.place.topic}/{self.place.partition}/{self.place.offset}"
        return f"{self.tenant_id}/{self.request_id}"


@dataclass(frozen=True, slots=True)
class Replied:
    """A record of `llm.responses`; `answers` is the request record it was made for. `is_redriven`: a further one to it,
    under an id of its own, because an operator gave the dead letter back.
    """

    identity: str
    answers: Place
    place: Place
    is_redriven: bool = False


@dataclass(frozen=True, slots=True)
class Buried:
    """A dead letter; `about` is the request record it stems from, None where that cannot be told."""

    reason: str
    stage: str
    about: Place | None


@dataclass(frozen=True, slots=True)
class Twice:
    """One identity's responses; or those to one `record` under several, which `identity` then names all."""

    identity: str
    places: tuple[Place, ...]
    record: Place | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """`repeated`: request records whose id an earlier one had. `unasked`: responses to records that are not there."""

    requests: int
    responses: int
    repeated: int
    open: tuple[Asked, ...]
    missing: tuple[Asked, ...]
    twice: tuple[Twice, ...]
    unasked: tuple[Replied, ...]
    unreadable_responses: int
    dead_letters: Mapping[str, int]

    @property
    def is_sound(self) -> bool:
        return not self.missing and not self.twice


def asked(record: Delivery) -> Asked:
    """As `validate` reads it: what is not a valid request still has an id if its JSON says one."""
    place = Place(record.topic, record.partition, record.offset)
    try:
        request = Request.decode(record.value or b"")
    except ValidationError:
        return _salvaged(record, place)
    return Asked(place, record.timestamp_ms, request.tenant_id, request.request_id, request.deadline_ms)


def _salvaged(record: Delivery, place: Place) -> Asked:
    try:
        content = load_json(record.value or b"")
    except ValueError:
        content = None
    said = content if isinstance(content, dict) else {}
    request_id, tenant_id, deadline_ms = said.get("request_id"), said.get("tenant_id"), said.get("deadline_ms")
    return Asked(
        place,
        record.timestamp_ms,
        tenant_id if isinstance(tenant_id, str) else None,
        request_id if isinstance(request_id, str) and 0 < len(request_id) <= LONGEST_ANSWERABLE_ID else None,
        deadline_ms if isinstance(deadline_ms, int) else None,
    )


def replied(record: Delivery) -> Replied | None:
    """None for what is not a response."""
    try:
        response = Response.decode(record.value or b"")
    except DecodeError:
        return None
    place = Place(record.topic, record.partition, record.offset)
    return Replied(
        identity_of(response), _place(response.origin), place, is_redriven=response.root_request_id is not None
    )


def buried(record: Delivery, requests_topic: str) -> Buried:
    letter = dead_letter(record)
    if letter.origin_topic != requests_topic:
        return Buried(letter.reason, letter.stage, _origin_of_ticket(record))
    if letter.origin_partition is None or letter.origin_offset is None:
        return Buried(letter.reason, letter.stage, None)
    return Buried(
        letter.reason, letter.stage, Place(letter.origin_topic, letter.origin_partition, letter.origin_offset)
    )


def _origin_of_ticket(record: Delivery) -> Place | None:
    """What stages write carries a ticket, and that says where the request was."""
    try:
        content = load_json(record.value or b"")
        ticket = cast("dict[str, object]", content).get("ticket") if isinstance(content, dict) else None
        origin = cast("dict[str, object]", ticket).get("origin") if isinstance(ticket, dict) else None
        return _place(convert(origin, Origin))
    except ValueError:
        return None


def _place(origin: Origin) -> Place:
    return Place(origin.topic, origin.partition, origin.offset)


REUSED = "request_id_reused"
"""`limit` buries a record whose id was used before for other content: it is not answered, by promise."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """`window`: offsets of `llm.requests` that were read. A request younger than `patience_ms` is open, not missing."""

    requests_topic: str
    window: Spans
    now_ms: int
    patience_ms: int


def fold(
    requests: Iterable[Asked], responses: Iterable[Replied | None], letters: Iterable[Buried], bounds: Bounds
) -> Report:
    """Requests may come in any order of partitions. Responses should reach further back than the requests, by as long
    as an id is remembered, so that a repetition finds the answer that covers it.
    """
    records = sorted(requests, key=lambda each: (each.at_ms, each.place))
    read = list(responses)
    given = [each for each in read if each is not None]
    graves = list(letters)
    covered = _Covered(
        identities=frozenset(each.identity for each in given),
        answered=frozenset(each.answers for each in given),
        reused=frozenset(each.about for each in graves if each.reason == REUSED),
        buried=frozenset(each.about for each in graves),
    )
    # of several unanswered records under one id, the first stands for all
    unanswered = {each.identity: each for each in reversed(records) if not covered.covers(each)}.values()
    waiting = {each.identity for each in unanswered if _is_open(each, bounds)}
    return Report(
        requests=len(records),
        responses=len(given),
        repeated=len(records) - len({each.identity for each in records}),
        open=tuple(each for each in reversed(unanswered) if each.identity in waiting),
        missing=tuple(each for each in reversed(unanswered) if each.identity not in waiting),
        twice=tuple(_twice(given)),
        unasked=tuple(_unasked(given, frozenset(each.place for each in records), bounds)),
        unreadable_responses=len(read) - len(given),
        dead_letters=dict(Counter(f"{each.stage}: {each.reason}" for each in graves)),
    )


@dataclass(frozen=True, slots=True)
class _Covered:
    """By what a record's fate is known: an answer to itself or to its id, or a dead letter that stands for one."""

    identities: frozenset[str]
    answered: frozenset[Place]
    reused: frozenset[Place | None]
    buried: frozenset[Place | None]

    def covers(self, each: Asked) -> bool:
        if each.place in self.answered or each.place in self.reused or each.identity in self.identities:
            return True
        return each.request_id is None and each.place in self.buried


def _is_open(each: Asked, bounds: Bounds) -> bool:
    in_time = each.deadline_ms is not None and each.deadline_ms > bounds.now_ms
    return in_time or bounds.now_ms - each.at_ms < bounds.patience_ms


def _twice(given: Sequence[Replied]) -> Iterator[Twice]:
    """An identity, or one record under two of them: a stranger's and its tenant's."""
    by_identity: dict[str, list[Place]] = {}
    by_record: dict[Place, dict[str, list[Place]]] = {}
    for each in given:
        by_identity.setdefault(each.identity, []).append(each.place)
        if not each.is_redriven:
            by_record.setdefault(each.answers, {}).setdefault(each.identity, []).append(each.place)
    yield from (Twice(identity, tuple(found)) for identity, found in by_identity.items() if len(found) > 1)
    for record, found in by_record.items():
        if len(found) > 1:
            yield Twice(" and ".join(found), tuple(place for places in found.values() for place in places), record)


def _unasked(given: Sequence[Replied], known: frozenset[Place], bounds: Bounds) -> Iterator[Replied]:
    """Only where the request would have been read: older ones may have been deleted since, newer ones came later."""
    for each in given:
        if each.answers.topic != bounds.requests_topic:
            yield each
            continue
        span = bounds.window.get(each.answers.partition)
        if span is not None and span.start <= each.answers.offset < span.end and each.answers not in known:
            yield each
