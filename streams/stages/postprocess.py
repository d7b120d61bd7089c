"""The one door to the response topic: prices every attempt, looks at what was answered, keeps what may be kept, and
answers each request once, or has it asked again.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from schemas.cached import FlightEnded
from schemas.flow import Completion, Dispatch
from schemas.response import Failure, Output, Response, Status, Timings
from schemas.topics import CACHE, CALLS, COMPLETIONS, DISPATCH, RESPONSES
from schemas.usage import Usage
from streams.answers.judging import as_judged, judged
from streams.answers.pipeline import Processed, process
from streams.answers.rounds import next_round
from streams.answers.step import Draft
from streams.answers.structure import with_parsed
from streams.content.guard import let_out, told
from streams.cost.booking import Booked, book
from streams.cost.ledger import UNKNOWN, is_unaccounted, route_reason, saved_usd, unattempted_row
from streams.cost.price import price
from streams.keeping import fill_of, given_of
from streams.observe.business import measure
from streams.runtime.outcome import Absorb, Forward, Outcome, Record
from streams.runtime.stage import Requester, Stage, View
from streams.stages.postprocess_rows import calls_record, open_rows, rows_of
from streams.state.given_responses import GivenResponses

NOTHING_SAID: Mapping[str, str] = MappingProxyType({})


def decide(came: Completion, view: View[GivenResponses]) -> Outcome:
    """A request is answered once. What else a completion causes is written again when it is taken again, since the
    first time may have broken off in between; rows and cache records replace themselves.
    """
    completion = as_judged(came)
    paid = [book(view.control, came.ticket.tenant_id, came.plan, each) for each in completion.all_attempts]
    bill = _bill(came, completion, paid, view)
    seen = _seen(completion, view.clock_us)
    found = None if seen is None else judged(came, seen)
    if isinstance(found, Dispatch):
        return _ask_judge(found, bill, seen, view)
    seen = found
    if seen is not None and seen.wanting is not None:
        another = next_round(completion, seen, seen.wanting)
        if another is not None:
            return _ask_again(another, bill, seen, view)
    ended, seen, passed = _ended(completion, seen)
    ticket = bill.answered.ticket
    ended, seen = let_out(replace(ended, ticket=ticket), seen, view.control, view.clock_us)
    steps = ended.steps if seen is None else {**ended.steps, **seen.steps}
    response = respond(told(ended), paid, view.now_ms, steps)
    is_answered, given_ms = ticket.identity in view.state, view.state.given_ms(response)
    at_ms = view.now_ms if given_ms is None else given_ms
    kept = _keep(ended, paid, at_ms, steps, passed=passed)
    if is_answered and given_ms is None:  # carried out twice: what was paid twice is booked twice
        extra = (*bill.open_rows(seen, view.state), *kept)
        return Forward(extra) if extra else Absorb("answered before")
    rows = map(calls_record, rows_of(replace(ended, round=bill.answered.round), bill.booked, at_ms, seen))
    answer = () if is_answered else (Record(RESPONSES, ticket.request_id, response),)
    return Forward((*answer, *bill.of_judge, *rows, *kept))


class _Bill(Struct, frozen=True):
    """What a completion has to be booked. `booked`: attempts of the round that was `answered`; those of rounds before
    have their rows. `of_judge`: rows of those who were asked about that answer, where the completion is theirs.
    """

    answered: Completion
    booked: list[Booked]
    of_judge: tuple[Record, ...]
    is_judged: bool

    def open_rows(self, seen: Processed | None, given: GivenResponses) -> tuple[Record, ...]:
        """Of what did not end the request. Where the answer that was given is the one judged here, by a verdict that
        somebody else brought, its own rows are there, and one is final.
        """
        if self.is_judged and given.was_by(self.answered.ticket):
            return self.of_judge
        return (*self.of_judge, *open_rows(self.answered, self.booked, seen))


def _bill(came: Completion, completion: Completion, paid: list[Booked], view: View[GivenResponses]) -> _Bill:
    """A judge's round changes neither when an answer came nor in which round."""
    since = len(paid) - len(completion.attempts)
    ticket = came.ticket.stamped("postprocess", view.now_ms)
    answered = None if came.round is None else came.round.judged
    if answered is None:
        return _Bill(replace(completion, ticket=ticket), paid[since:], (), is_judged=False)
    of_judge = open_rows(replace(came, ticket=ticket), paid[since - len(came.attempts) : since], None)
    stamps = {**answered.ticket.stamps, "postprocess": view.now_ms}
    own = replace(completion, ticket=replace(ticket, stamps=stamps), round=answered.round)
    return _Bill(own, paid[since:], of_judge, is_judged=True)


def _ask_judge(asked: Dispatch, bill: _Bill, seen: Processed | None, view: View[GivenResponses]) -> Outcome:
    """What is judged is booked with its verdict: whether it ends the request is not known before. Where another answer
    was given meanwhile nobody judges it any more.
    """
    ticket = bill.answered.ticket
    if ticket.identity not in view.state:
        return Forward((Record(DISPATCH[ticket.priority], ticket.request_id, asked),))
    rows = () if view.state.was_by(ticket) else bill.open_rows(seen, view.state)
    return Forward(rows) if rows else Absorb("answered before")


def _seen(completion: Completion, clock_us: Callable[[], int]) -> Processed | None:
    """None where no step has anything to do. What comes out of the cache was seen to when it was put there."""
    rules = None if completion.plan is None else completion.plan.rules
    if rules is None or completion.answer is None or completion.cache != "none":
        return None
    return process(Draft(completion.answer, rules, completion.parse_json, completion.json_schema), clock_us)


def _ask_again(another: Dispatch, bill: _Bill, seen: Processed, view: View[GivenResponses]) -> Outcome:
    """The attempts of a round are booked when it ends: whoever carries it out again names other ones. Who has an answer
    is not asked for any more, whatever it was answered by.
    """
    ticket = bill.answered.ticket
    rows = bill.open_rows(seen, view.state)
    if ticket.identity in view.state:
        return Forward(rows)
    return Forward((Record(DISPATCH[ticket.priority], ticket.request_id, another), *rows))


def _ended(completion: Completion, seen: Processed | None) -> tuple[Completion, Processed | None, bool]:
    """As the requester sees it, what was seen of its answer, and whether that passes. One that does not was paid for:
    it is shown with what is wrong with it, or given, as the rules say, also when the rounds after it brought none.
    """
    before, plan = completion.round, completion.plan
    if before is not None and before.held is not None and completion.answer is None:
        is_json = before.held.output.parsed is not None
        given = replace(completion, status="ok", failure=None, answer=before.held, parse_json=is_json)
        return given, Processed(before.held, before.held_steps, {}), False
    if seen is None:
        return completion, None, True
    wanting = seen.wanting
    ended = replace(completion, answer=seen.answer)
    if wanting is None or (plan is not None and plan.rules is not None and plan.rules.otherwise == "answer"):
        return ended, seen, wanting is None
    failure = Failure(code="invalid_output", message=wanting.problem)
    return replace(ended, status="failed", failure=failure), seen, False


def respond(
    completion: Completion, paid: list[Booked], now_ms: int, steps: Mapping[str, str] = NOTHING_SAID
) -> Response:
    """`paid`: all attempts, of all rounds."""
    ticket, answer, saved = completion.ticket, completion.answer, completion.saved
    totals = [cost.total_usd for _, _, cost in paid]
    known = [total for total in totals if total is not None]
    last = paid[-1] if paid else None
    giving = next((each for each in reversed(paid) if each[0].error_class is None), last)
    return Response(
        request_id=ticket.request_id,
        tenant_id=ticket.tenant_id,
        root_request_id=ticket.root_request_id,
        origin=ticket.origin,
        status=completion.status,
        error=None if completion.status == "ok" else completion.failure,
        output=_output(completion),
        finish_reason=answer.finish_reason if answer else None,
        complete=answer.complete if answer else True,
        model=answer.model if answer else None,
        provider=answer.provider if answer else None,
        deployment=answer.deployment if answer else None,
        route=completion.plan.route if completion.plan else None,
        route_reason=route_reason(completion.plan, last[0] if last else None),
        cache=completion.cache,
        source_request_id=saved.request_id if saved else None,
        similarity=saved.similarity if saved and completion.cache == "semantic" else None,
        usage=giving[1] if giving and answer and completion.cache != "stale" else None,
        cost_usd=None if len(known) < len(totals) or is_unaccounted(completion) else sum(known, Decimal(0)),
        saved_usd=saved_usd(completion),
        timings=_timings(completion, now_ms),
        attempts=len(paid),
        round=completion.round.number if completion.round else 0,
        steps=dict(steps),
        labels=ticket.labels,
        answered_at_ms=now_ms,
        config_version=ticket.config_version,
        price_version=last[2].price_version if last else None,
    )


def _output(completion: Completion) -> Output | None:
    if completion.answer is None:
        return None
    output = completion.answer.output
    return with_parsed(output) if completion.parse_json else output


def _timings(completion: Completion, now_ms: int) -> Timings:
    ticket = completion.ticket
    total_ms = max(now_ms - ticket.produced_at_ms, 0)
    provider_ms = sum(max((a.ended_at_ms or a.started_at_ms) - a.started_at_ms, 0) for a in completion.all_attempts)
    return Timings(
        total_ms=total_ms,
        provider_ms=provider_ms,
        added_ms=max(total_ms - provider_ms, 0),
        stages={stage: max(at - ticket.produced_at_ms, 0) for stage, at in ticket.stamps.items()},
    )


def _keep(
    completion: Completion,
    paid: list[Booked],
    now_ms: int,
    steps: Mapping[str, str] = NOTHING_SAID,
    *,
    passed: bool = True,
) -> tuple[Record, ...]:
    """What the cache learns of a request that led a question: an answer to keep, or that there is none. An answer that
    did not pass is none; where it is given, those who waited with it are given it too, and nobody after them.
    """
    slot = completion.slot
    if slot is None:
        return ()
    fill = fill_of(completion, paid, now_ms) if passed and completion.cache != "stale" else None
    if fill is not None:
        return (Record(CACHE, slot.entry, fill, partition_by=slot.namespace),)
    given = given_of(completion, paid, now_ms) if completion.status == "ok" else None
    ended = FlightEnded(
        namespace=slot.namespace,
        entry=slot.entry,
        identity=completion.ticket.identity,
        status=_status_of_end(completion),
        failure=completion.failure,
        ended_at_ms=now_ms,
        given=given,
        steps={} if given is None else dict(steps),
    )
    # a key of its own for each request: the end of one that is not in flight any more must not compact another away
    key = f"{slot.entry}/flight/{completion.ticket.identity}"
    return (Record(CACHE, key, ended, partition_by=slot.namespace),)


def _status_of_end(completion: Completion) -> Status:
    """An expired answer was given because there was none: whoever waited learns how it ended without it."""
    if completion.cache != "stale" or completion.failure is None:
        return completion.status
    return "expired" if completion.failure.code == "deadline_exceeded" else "failed"


def _answer_as_failed(requester: Requester, failure: Failure, state: GivenResponses, now_ms: int) -> tuple[Record, ...]:
    """When this very stage fails there is no further door. Whatever calls there were are not booked here, so what the
    request cost is unknown, and not nothing. A request that has its answer gets no second one.
    """
    ticket = requester.ticket
    if ticket.identity in state:
        return ()
    completion = Completion(ticket=ticket, slot=requester.slot, round=requester.round, status="failed", failure=failure)
    response = replace(respond(completion, [], now_ms), cost_usd=None)
    row = replace(unattempted_row(completion, now_ms), cost=UNKNOWN)
    return Record(RESPONSES, ticket.request_id, response), calls_record(row), *_keep(completion, [], now_ms)


def _load_prices() -> None:
    """The table is searched once per model; the first search also loads it."""
    price("openai", "gpt-4o-mini", Usage(), 0)
    price("anthropic", "claude-haiku-4-5", Usage(), 0)


STAGE: Stage[Completion, GivenResponses] = Stage(
    name="postprocess",
    reads=(COMPLETIONS,),
    writes=(RESPONSES, CALLS, CACHE, *DISPATCH.values()),
    decide=decide,
    state=GivenResponses,
    tables=(RESPONSES,),
    restore="window",
    measure=measure,
    prepare=_load_prices,
    give_up=_answer_as_failed,
)
