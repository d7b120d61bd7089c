"""Has this tenant's very question been answered, or is somebody asking it right now?

The first to ask leads; whoever asks the same meanwhile is parked and wakes with the answer. The flight is on the
cache topic, so a new worker knows of it too.
"""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec.structs import replace

from schemas.cached import Fill, FlightEnded, FlightStarted
from schemas.control import Semantic
from schemas.flow import Admitted, CacheSlot, Completion, Miss, Stale, Ticket
from schemas.request import Priority
from schemas.response import CacheKind, Failure
from schemas.topics import ADMITTED, CACHE, DISPATCH, MISSES
from streams.content.guard import carried
from streams.control import ControlView
from streams.questions import summarized
from streams.runtime.outcome import Absorb, Finish, Forward, Outcome, Park, Record
from streams.runtime.stage import Stage, View
from streams.semantic.lookup import Waiting, meaning_of
from streams.state.kept_answers import Ended, KeptAnswers

FLIGHT_LIMIT_MS = 900_000
"""A question not answered by then is asked again by the next in line. Far above any route's attempts together, since
asking too early pays twice; whoever cannot wait so long has a deadline.
"""
_NOTHING_SAID: Mapping[str, str] = MappingProxyType({})
_URGENCY: Mapping[Priority, int] = {"low": 0, "normal": 1, "high": 2}


def decide(event: Admitted, view: View[KeptAnswers]) -> Outcome:
    ticket = event.ticket
    if ticket.deadline_ms is not None and ticket.deadline_ms <= view.now_ms:
        return _expire(ticket, view)
    tenant = view.control.tenants.get(ticket.tenant_id or "")
    if tenant is None or tenant.cache == "off" or ticket.cache == "off":
        return _decline(ticket, view) if ticket.cache == "only" else _ask(event, None, view)
    if ticket.cache == "default" and tenant.cache != "default":
        ticket = replace(ticket, cache=tenant.cache)
        event = replace(event, ticket=ticket)
    slot = CacheSlot(
        namespace=event.namespace,
        entry=summarized(event).entry,
        expires_after_ms=tenant.cache_ttl_s * 1000,
    )
    ended = view.state.ended(slot.entry, ticket.identity, view.delivery.timestamp_ms)
    if ended is not None:
        return _end_again(event, ended, view)
    if ticket.cache == "refresh":
        return _ask_anew(event, slot, tenant.semantic, view)
    return _look_up(event, slot, tenant.semantic, view)


def _look_up(event: Admitted, slot: CacheSlot, semantic: Semantic | None, view: View[KeptAnswers]) -> Outcome:
    known = _known(event, slot, view)
    if known is not None:
        return known
    ticket = event.ticket
    flight = view.state.flight(slot.entry, view.now_ms)
    if flight is not None and _waits_for(flight, ticket):
        return Park(on=slot.entry, until_ms=min(flight.gives_up_at_ms, ticket.deadline_ms or flight.gives_up_at_ms))
    if view.parked_ms is not None:
        landed = view.state.landed_since(slot.entry, view.parked_ms)
        if landed is not None and landed.status == "failed":
            stale = _stale(ticket, slot, view)
            if stale is not None:
                return Finish(_stale_instead(event, stale, landed.failure, view))
            return Finish(_failed(ticket, landed.failure, view), (_told(landed, slot, ticket, view.now_ms),))
    if semantic is not None:
        return _look_for_alike(event, slot, semantic, view)
    return _decline(ticket, view) if ticket.cache == "only" else _lead(event, slot, view)


def _known(event: Admitted, slot: CacheSlot, view: View[KeptAnswers]) -> Outcome | None:
    """An answer that is kept, or one that came while this was waiting for it."""
    asked_ms = view.delivery.timestamp_ms
    fill = view.state.fill(slot.entry, asked_ms)
    if fill is not None:
        return _give(event, fill, "exact" if view.parked_ms is None else "coalesced", view)
    landed = view.state.given(slot.entry, asked_ms, view.parked_ms)
    if landed is not None and landed.given is not None:
        return _give(event, landed.given, "coalesced", view, landed.steps)
    return None


def _look_for_alike(event: Admitted, slot: CacheSlot, semantic: Semantic, view: View[KeptAnswers]) -> Outcome:
    meant = meaning_of(event, slot, view)
    if isinstance(meant, Waiting):
        return Park(on=f"{slot.entry}/meaning", until_ms=meant.until_ms)
    slot, asked_ms = meant.slot, view.delivery.timestamp_ms
    if slot.meaning is not None:
        nearest = view.state.nearest(slot.meaning, semantic.threshold, asked_ms)
        fill = None if nearest is None or nearest.entry is None else view.state.fill(nearest.entry, asked_ms)
        if nearest is not None and fill is not None:
            alike = replace(fill, saved=replace(fill.saved, similarity=nearest.similarity))
            return _give(event, alike, "semantic", view)
        slot = slot if nearest is None else replace(slot, refused_similarity=nearest.refused)
    return _decline(event.ticket, view) if event.ticket.cache == "only" else _lead(event, slot, view)


def _ask_anew(event: Admitted, slot: CacheSlot, semantic: Semantic | None, view: View[KeptAnswers]) -> Outcome:
    if semantic is None:
        return _lead(event, slot, view)
    meant = meaning_of(event, slot, view)
    if isinstance(meant, Waiting):
        return Park(on=f"{slot.entry}/meaning", until_ms=meant.until_ms)
    return _lead(event, meant.slot, view)


def _give(
    event: Admitted, fill: Fill, kind: CacheKind, view: View[KeptAnswers], steps: Mapping[str, str] = _NOTHING_SAID
) -> Outcome:
    completion = Completion(
        ticket=event.ticket.stamped("cache", view.now_ms),
        status="ok",
        answer=fill.answer,
        cache=kind,
        saved=fill.saved,
        parse_json=summarized(event).wants_json,
        steps=dict(steps),
        own_guard=carried(view.control, event.ticket),
    )
    if not view.state.fades(fill, view.now_ms):
        return Finish(completion)
    # a key of its own: a newer answer, which is not known here yet, must not be compacted away
    again = Record(CACHE, f"{fill.entry}/again", replace(fill, again=True), partition_by=fill.namespace)
    return Finish(completion, (again,))


def _end_again(event: Admitted, ended: Ended, view: View[KeptAnswers]) -> Outcome:
    """Delivered again after a crash, when its end is known already. Led once more it would never land: nobody asks what
    is completed. And who waited for a question that failed, and was told, would be paid for now.
    """
    failure = ended.failure
    if failure is None:
        return Absorb("it has been asked, and its answer is on its way or given")
    return Finish(_failed(event.ticket, failure, view))


def _failed(ticket: Ticket, failure: Failure | None, view: View[KeptAnswers]) -> Completion:
    return Completion(ticket=ticket.stamped("cache", view.now_ms), status="failed", failure=failure, cache="coalesced")


def _told(landed: FlightEnded, slot: CacheSlot, ticket: Ticket, now_ms: int) -> Record:
    """That this one has been told as well: see `_end_again`."""
    ended = replace(landed, identity=ticket.identity, ended_at_ms=now_ms)
    return Record(CACHE, f"{slot.entry}/flight/{ticket.identity}", ended, partition_by=slot.namespace)


def _waits_for(flight: FlightStarted, ticket: Ticket) -> bool:
    """Never behind a less urgent lane, whose backlog may be hours: the more urgent asks for itself and leads from then
    on. The question may be paid for twice; that is what its urgency buys. `only` never asks, so it waits for anyone.
    """
    if flight.identity == ticket.identity:
        return False
    return ticket.cache == "only" or _URGENCY[flight.priority] >= _URGENCY[ticket.priority]


def _lead(event: Admitted, slot: CacheSlot, view: View[KeptAnswers]) -> Outcome:
    started = FlightStarted(
        namespace=slot.namespace,
        entry=slot.entry,
        identity=event.ticket.identity,
        priority=event.ticket.priority,
        started_at_ms=view.now_ms,
        gives_up_at_ms=view.now_ms + FLIGHT_LIMIT_MS,
    )
    return _ask(event, slot, view, Record(CACHE, f"{slot.entry}/flight", started, partition_by=slot.namespace))


def _ask(event: Admitted, slot: CacheSlot | None, view: View[KeptAnswers], *also: Record) -> Outcome:
    ticket = event.ticket.stamped("cache", view.now_ms)
    miss = Miss(
        ticket=ticket,
        prompt=event.prompt,
        input_tokens=event.input_tokens,
        slot=slot,
        needs=None if event.summary is None else event.summary.needs,
        stale=None if slot is None else _stale(ticket, slot, view),
    )
    return Forward((Record(MISSES, ticket.request_id, miss), *also))


def _stale(ticket: Ticket, slot: CacheSlot, view: View[KeptAnswers]) -> Stale | None:
    """For when nobody can be asked, where the tenant takes that."""
    tenant = view.control.tenants.get(ticket.tenant_id or "")
    if tenant is None or tenant.stale_ttl_s is None:
        return None
    fill = view.state.last(slot.entry, view.delivery.timestamp_ms, tenant.stale_ttl_s * 1000)
    return None if fill is None else Stale(answer=fill.answer, saved=fill.saved, expired_at_ms=fill.expires_at_ms)


def _stale_instead(event: Admitted, stale: Stale, failure: Failure | None, view: View[KeptAnswers]) -> Completion:
    """Whoever waited for a question that failed has the same right to it as who asked."""
    return Completion(
        ticket=event.ticket.stamped("cache", view.now_ms),
        status="ok",
        failure=failure,
        answer=stale.answer,
        cache="stale",
        saved=stale.saved,
        parse_json=summarized(event).wants_json,
        own_guard=carried(view.control, event.ticket),
    )


def _decline(ticket: Ticket, view: View[KeptAnswers]) -> Outcome:
    failure = Failure(
        code="cache_miss",
        message="no answer to this is kept and cache is `only`; use cache `refresh` to have it asked",
        field="cache",
    )
    return Finish(Completion(ticket=ticket.stamped("cache", view.now_ms), status="rejected", failure=failure))


def _expire(ticket: Ticket, view: View[KeptAnswers]) -> Outcome:
    failure = Failure(
        code="deadline_exceeded",
        message="deadline_ms passed while the request waited; send it again with more time",
        field="deadline_ms",
        retryable=True,
    )
    return Finish(Completion(ticket=ticket.stamped("cache", view.now_ms), status="expired", failure=failure))


def window_ms(control: ControlView) -> int:
    """What was stored longer ago has expired for every tenant. What was taken back may be as much older as a question
    can have been on its way.
    """
    tenants = control.tenants.values()
    longest_s = max((tenant.cache_ttl_s + (tenant.stale_ttl_s or 0) for tenant in tenants), default=0)
    return longest_s * 1000 + DISPATCH["low"].retention_ms


STAGE: Stage[Admitted, KeptAnswers] = Stage(
    name="cache",
    reads=(ADMITTED,),
    writes=(MISSES, CACHE),
    decide=decide,
    state=KeptAnswers,
    tables=(CACHE,),
    follow=True,
    restore="window",
    window_ms=window_ms,
)
