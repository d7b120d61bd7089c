"""Who shall be asked, in which order, how often and for how long; and in which lane it waits."""

from msgspec.structs import replace

from schemas.flow import NO_NEEDS, Completion, Dispatch, Miss, Plan, Target, Ticket
from schemas.response import Failure
from schemas.topics import DISPATCH, MISSES
from streams.answers.rules import rules_for
from streams.content.guard import carried
from streams.control import ControlView
from streams.routes import choose_route
from streams.routing.choice import Choice
from streams.routing.choose import Selection, reason_of, select, unanswerable
from streams.routing.judges import judges_for
from streams.routing.qualify import Inquiry
from streams.runtime.outcome import Finish, Forward, Outcome, Park, Record
from streams.runtime.stage import Stage, Stateless, View
from streams.tenancy import LOOK_AGAIN_MS, turned_out


def decide(event: Miss, view: View[Stateless]) -> Outcome:
    ticket = event.ticket.stamped("route", view.now_ms)
    if ticket.deadline_ms is not None and ticket.deadline_ms <= view.now_ms:
        failure = Failure(
            code="deadline_exceeded",
            message="deadline_ms passed before the request could be asked; send it again with more time",
            field="deadline_ms",
            retryable=True,
        )
        return Finish(Completion(ticket=ticket, status="expired", failure=failure, slot=event.slot))
    match turned_out(view.control, ticket, view.now_ms, view.parked_ms):
        case None:
            pass
        case "not read yet":
            return Park(ticket.identity, view.now_ms + LOOK_AGAIN_MS)
        case failure:  # where its data may go is not known any more
            return Finish(Completion(ticket=ticket, status="failed", failure=failure, slot=event.slot))
    choice = choose_route(view.control, ticket)
    if choice is None:
        return Finish(_lost(event, ticket, None))
    inquiry = Inquiry(
        tenant_id=ticket.tenant_id or "",
        identity=ticket.identity,
        needs=event.needs or NO_NEEDS,
        input_tokens=event.input_tokens,
        at_ms=view.now_ms,
    )
    selection = select(choice, inquiry, view.control)
    if not selection.targets:
        return Finish(_without_target(event, ticket, choice, selection))
    dispatch = Dispatch(
        ticket=replace(ticket, config_version=view.control.version),
        prompt=event.prompt,
        input_tokens=event.input_tokens,
        slot=event.slot,
        plan=_plan(ticket, choice, selection, judges_for(choice, inquiry, view.control), view.control),
        stale=event.stale if choice.route.stale else None,
    )
    return Forward((Record(DISPATCH[ticket.priority], ticket.request_id, dispatch),))


def _plan(
    ticket: Ticket, choice: Choice, selection: Selection, judges: tuple[Target, ...], control: ControlView
) -> Plan:
    return Plan(
        route=choice.route.name,
        reason=reason_of(choice, selection.passed_over) if selection.passed_over else choice.reason,
        targets=(*selection.targets, *judges),
        max_attempts=choice.route.max_attempts,
        timeout_ms=choice.route.timeout_ms[ticket.priority],
        retry_ambiguous=choice.route.retries_uncertain(ticket.priority),
        when_busy=choice.route.when_busy,
        rules=rules_for(control, ticket.tenant_id, choice.route),
        guard=carried(control, ticket),
        judge_from=len(selection.targets) if judges else None,
    )


def _without_target(event: Miss, ticket: Ticket, choice: Choice, selection: Selection) -> Completion:
    """Who asks the same and waits for this one is told the same, unless it was this one's own cap that decided: with
    `rejected` they go on and ask for themselves.
    """
    failure = unanswerable(choice, selection.passed_over)
    if failure is None:
        return _lost(event, ticket, choice)
    has_own_cap = failure.code == "no_target" and event.needs is not None and event.needs.max_cost_usd is not None
    return Completion(ticket=ticket, status="rejected" if has_own_cap else "failed", failure=failure, slot=event.slot)


def _lost(event: Miss, ticket: Ticket, choice: Choice | None) -> Completion:
    """The configuration changed since `validate` looked, or a route names a deployment that is not there."""
    where = "no route" if choice is None else f"route {choice.route.name} has no deployment"
    message = (
        f"{where} for model {ticket.model!r} any more; ask for another model, or have the operator check the route"
    )
    failure = Failure(code="no_route", message=message, field="model", retryable=True)
    return Completion(ticket=ticket, status="failed", failure=failure, slot=event.slot)


STAGE: Stage[Miss, Stateless] = Stage(
    name="route",
    reads=(MISSES,),
    writes=tuple(DISPATCH.values()),
    decide=decide,
    state=Stateless,
)
