"""The one door to the response topic: prices every attempt, keeps what may be kept, answers each request once."""

from decimal import Decimal

from msgspec.structs import replace
from pydantic import JsonValue

from schemas.base import load_json
from schemas.cached import Fill, FlightEnded
from schemas.call import CallRow
from schemas.flow import Completion, Saved
from schemas.response import Failure, FinishReason, Output, Response, Timings
from schemas.topics import CACHE, CALLS, COMPLETIONS, RESPONSES
from schemas.usage import Usage
from streams.cost.booking import Booked, book
from streams.cost.ledger import UNKNOWN, attempt_row, is_unaccounted, unattempted_row
from streams.cost.price import price
from streams.observe.business import measure
from streams.runtime.outcome import Absorb, Forward, Outcome, Record
from streams.runtime.stage import Requester, Stage, View
from streams.state.given_responses import GivenResponses

NO_TENANT = "-"
"""Key of rows whose sender could not be authenticated."""

REPEATABLE: frozenset[FinishReason] = frozenset({"stop", "length", "tool_calls"})
"""Endings that the same question would meet again; refusals and filters are not kept."""

MAX_PARSED_LEVELS = 100
"""JSON nested deeper is left as text: from about 200 levels on, readers of the response refuse the whole of it."""


def decide(completion: Completion, view: View[GivenResponses]) -> Outcome:
    """A request is answered once. What else a completion causes is written again when it is taken again, since the
    first time may have broken off in between; rows and cache records replace themselves.
    """
    ticket = completion.ticket.stamped("postprocess", view.now_ms)
    completion = replace(completion, ticket=ticket)
    booked = [book(view.control, ticket.tenant_id, completion.plan, attempt) for attempt in completion.attempts]
    response = respond(completion, booked, view.now_ms)
    is_answered, given_ms = ticket.identity in view.state, view.state.given_ms(response)
    at_ms = view.now_ms if given_ms is None else given_ms
    kept = _keep(completion, booked, at_ms)
    if is_answered and given_ms is None:  # carried out twice: what was paid twice is booked twice
        repeats = (attempt_row(ticket, completion.plan, a, "priced", cost=c, usage=u) for a, u, c in booked)
        extra = (*map(_calls_record, repeats), *kept)
        return Forward(extra) if extra else Absorb("answered before")
    rows = map(_calls_record, rows_of(completion, booked, at_ms))
    answer = () if is_answered else (Record(RESPONSES, ticket.request_id, response),)
    return Forward((*answer, *rows, *kept))


def respond(completion: Completion, booked: list[Booked], now_ms: int) -> Response:
    ticket, answer, saved = completion.ticket, completion.answer, completion.saved
    totals = [cost.total_usd for _, _, cost in booked]
    known = [total for total in totals if total is not None]
    last = booked[-1] if booked else None
    return Response(
        request_id=ticket.request_id,
        tenant_id=ticket.tenant_id,
        origin=ticket.origin,
        status=completion.status,
        error=completion.failure,
        output=_output(completion),
        finish_reason=answer.finish_reason if answer else None,
        complete=answer.complete if answer else True,
        model=answer.model if answer else None,
        provider=answer.provider if answer else None,
        deployment=answer.deployment if answer else None,
        route=completion.plan.route if completion.plan else None,
        cache=completion.cache,
        usage=last[1] if last and answer else None,
        cost_usd=None if len(known) < len(totals) or is_unaccounted(completion) else sum(known, Decimal(0)),
        saved_usd=saved.cost_usd if saved else None,
        timings=_timings(completion, now_ms),
        attempts=len(booked),
        labels=ticket.labels,
        answered_at_ms=now_ms,
        config_version=ticket.config_version,
        price_version=last[2].price_version if last else None,
    )


def _output(completion: Completion) -> Output | None:
    if completion.answer is None:
        return None
    output = completion.answer.output
    if not completion.parse_json or output.content is None:
        return output
    try:
        parsed = load_json(output.content)
    except ValueError:  # the model did not keep to JSON: the text says so itself
        return output
    return replace(output, parsed=parsed) if _is_readable(parsed, MAX_PARSED_LEVELS) else output


def _is_readable(value: JsonValue, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_readable(each, levels - 1) for each in inner)


def _timings(completion: Completion, now_ms: int) -> Timings:
    ticket = completion.ticket
    total_ms = max(now_ms - ticket.produced_at_ms, 0)
    provider_ms = sum(max((a.ended_at_ms or a.started_at_ms) - a.started_at_ms, 0) for a in completion.attempts)
    return Timings(
        total_ms=total_ms,
        provider_ms=provider_ms,
        added_ms=max(total_ms - provider_ms, 0),
        stages={stage: max(at - ticket.produced_at_ms, 0) for stage, at in ticket.stamps.items()},
    )


def rows_of(completion: Completion, booked: list[Booked], now_ms: int) -> list[CallRow]:
    """The last attempt's row is the request's final one."""
    if not booked:
        return [unattempted_row(completion, now_ms)]
    *earlier, (attempt, used, cost) = booked
    ticket, plan = completion.ticket, completion.plan
    return [
        *(attempt_row(ticket, plan, a, "priced", cost=c, usage=u) for a, u, c in earlier),
        attempt_row(
            ticket,
            plan,
            attempt,
            "priced",
            cost=cost,
            usage=used,
            request_status=completion.status,
            published_at_ms=now_ms,
        ),
    ]


def _keep(completion: Completion, booked: list[Booked], now_ms: int) -> tuple[Record, ...]:
    """What the cache learns of a request that led a question: an answer to keep, or that there is none."""
    slot, answer = completion.slot, completion.answer
    if slot is None:
        return ()
    if answer is not None and booked and answer.complete and answer.finish_reason in REPEATABLE:
        _, used, cost = booked[-1]
        saved = Saved(request_id=completion.ticket.request_id, usage=used or Usage(), cost_usd=cost.total_usd)
        fill = Fill(
            namespace=slot.namespace,
            entry=slot.entry,
            answer=answer,
            saved=saved,
            stored_at_ms=now_ms,
            expires_at_ms=now_ms + slot.expires_after_ms,
        )
        return (Record(CACHE, slot.entry, fill, partition_by=slot.namespace),)
    ended = FlightEnded(
        namespace=slot.namespace,
        entry=slot.entry,
        identity=completion.ticket.identity,
        status=completion.status,
        failure=completion.failure,
        ended_at_ms=now_ms,
    )
    # a key of its own for each request: the end of one that is not in flight any more must not compact another away
    key = f"{slot.entry}/flight/{completion.ticket.identity}"
    return (Record(CACHE, key, ended, partition_by=slot.namespace),)


def _calls_record(row: CallRow) -> Record:
    return Record(CALLS, row.tenant_id or NO_TENANT, row)


def _answer_as_failed(requester: Requester, failure: Failure, state: GivenResponses, now_ms: int) -> tuple[Record, ...]:
    """When this very stage fails there is no further door. Whatever calls there were are not booked here, so what the
    request cost is unknown, and not nothing. A request that has its answer gets no second one.
    """
    ticket = requester.ticket
    if ticket.identity in state:
        return ()
    completion = Completion(ticket=ticket, slot=requester.slot, status="failed", failure=failure)
    response = replace(respond(completion, [], now_ms), cost_usd=None)
    row = replace(unattempted_row(completion, now_ms), cost=UNKNOWN)
    return Record(RESPONSES, ticket.request_id, response), _calls_record(row), *_keep(completion, [], now_ms)


def _load_prices() -> None:
    """The table is searched once per model; the first search also loads it."""
    price("openai", "gpt-4o-mini", Usage(), 0)
    price("anthropic", "claude-haiku-4-5", Usage(), 0)


STAGE: Stage[Completion, GivenResponses] = Stage(
    name="postprocess",
    reads=(COMPLETIONS,),
    writes=(RESPONSES, CALLS, CACHE),
    decide=decide,
    state=GivenResponses,
    tables=(RESPONSES,),
    restore="window",
    measure=measure,
    prepare=_load_prices,
    give_up=_answer_as_failed,
)
