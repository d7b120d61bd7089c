"""Who shall be asked, in which order, how often and for how long; and in which lane it waits."""

from msgspec.structs import replace

from schemas.flow import Completion, Dispatch, Miss, Plan, Target, Ticket
from schemas.response import Failure
from schemas.topics import DISPATCH, MISSES
from streams.answers.rules import rules_for
from streams.control import Choice, ControlView
from streams.cost.agreed import has_price
from streams.routes import choose_route
from streams.runtime.outcome import Finish, Forward, Outcome, Record
from streams.runtime.stage import Stage, Stateless, View


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
    choice = choose_route(view.control, ticket)
    if choice is None or not choice.targets:
        return Finish(_lost(event, ticket, choice))
    targets = choice.targets
    if choice.route.refuse_unpriced:
        targets = priced_only(targets, view.control, ticket.tenant_id, view.now_ms)
        if not targets:
            return Finish(_unpriced(event, ticket, choice))
    dispatch = Dispatch(
        ticket=replace(ticket, config_version=view.control.version),
        prompt=event.prompt,
        input_tokens=event.input_tokens,
        slot=event.slot,
        plan=_plan(ticket, choice, _ordered(choice, targets, view), view.control),
    )
    return Forward((Record(DISPATCH[ticket.priority], ticket.request_id, dispatch),))


def priced_only(
    targets: tuple[Target, ...], control: ControlView, tenant_id: str | None, now_ms: int
) -> tuple[Target, ...]:
    """Those whose calls have a price, of our own or on the list."""
    return tuple(target for target in targets if has_price(control, tenant_id or "", target, now_ms))


def healthy_first(targets: tuple[Target, ...], control: ControlView, now_ms: int) -> tuple[Target, ...]:
    """The route's order, but targets whose breaker is open come last: they are a last resort, not nothing."""
    return tuple(sorted(targets, key=lambda target: is_open(control, target.deployment, now_ms)))


def is_open(control: ControlView, deployment: str, now_ms: int) -> bool:
    breaker = control.breakers.get(deployment)
    return breaker is not None and breaker.state == "open" and now_ms < breaker.until_ms


def _ordered(choice: Choice, targets: tuple[Target, ...], view: View[Stateless]) -> tuple[Target, ...]:
    """A cascade keeps its order, or it would go on from the dear model to the cheap one."""
    return targets if choice.route.cascade else healthy_first(targets, view.control, view.now_ms)


def _plan(ticket: Ticket, choice: Choice, targets: tuple[Target, ...], control: ControlView) -> Plan:
    return Plan(
        route=choice.route.name,
        reason=choice.reason,
        targets=targets,
        max_attempts=choice.route.max_attempts,
        timeout_ms=choice.route.timeout_ms[ticket.priority],
        retry_ambiguous=choice.route.retry_ambiguous,
        rules=rules_for(control, ticket.tenant_id, choice.route),
    )


def _lost(event: Miss, ticket: Ticket, choice: Choice | None) -> Completion:
    """The configuration changed since `validate` looked, or a route names a deployment that is not there."""
    where = "no route" if choice is None else f"route {choice.route.name} has no deployment"
    message = (
        f"{where} for model {ticket.model!r} any more; ask for another model, or have the operator check the route"
    )
    failure = Failure(code="no_route", message=message, field="model", retryable=True)
    return Completion(ticket=ticket, status="failed", failure=failure, slot=event.slot)


def _unpriced(event: Miss, ticket: Ticket, choice: Choice) -> Completion:
    models = ", ".join(sorted({f"{target.model} at {target.deployment}" for target in choice.targets}))
    message = (
        f"route {choice.route.name} takes no model without a price, and nobody has one for {models}; ask for another "
        "model, or have the operator add a price object for it"
    )
    failure = Failure(code="unpriced_model", message=message, field="model", retryable=False)
    return Completion(ticket=ticket, status="failed", failure=failure, slot=event.slot)


STAGE: Stage[Miss, Stateless] = Stage(
    name="route",
    reads=(MISSES,),
    writes=tuple(DISPATCH.values()),
    decide=decide,
    state=Stateless,
)
