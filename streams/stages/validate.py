"""Is this a well-formed request, of a tenant that proves who it is, for a model we know, with time left?

Only a proven tenant's refusals use up its request id, so they pass `limit`, which remembers ids. Anyone else's end
here under no tenant's name.
"""

import hashlib
import hmac
import json
from typing import assert_never, cast

from msgspec.structs import replace
from pydantic import SecretStr, ValidationError

from schemas.base import JsonObject, load_json
from schemas.complaint import complaint
from schemas.flow import NO_NEEDS, Accepted, Completion, Refused, Ticket
from schemas.headers import MalformedCredentials, credentials, trace_parent_of
from schemas.request import Request
from schemas.response import Failure
from schemas.topics import MAX_REQUEST_BYTES, REQUESTS, VALIDATED, Topic
from schemas.wire import Origin
from streams.coherence import incoherent
from streams.content.guard import guard_of
from streams.control import ControlView
from streams.cost.tokens import estimate_tokens, load_vocabulary
from streams.extent import is_surely_too_many, refusal, too_long, too_many
from streams.limits import counts_tokens, limited
from streams.questions import carried
from streams.routes import choose_route
from streams.routing.choice import Choice
from streams.routing.choose import unservable
from streams.routing.qualify import Inquiry, is_unconditional
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import DeadLetter, Finish, Forward, Outcome, Record
from streams.runtime.stage import Requester, Stage, Stateless, View
from streams.tenancy import not_served

LONGEST_ANSWERABLE_ID = 1024
MODELS_NAMED = 12
_NOBODYS = ("",)
LATEST_MS = 4_102_444_800_000
"""The year 2100. A producer sets its records' times as it likes; beyond this no column of ours holds them."""


def decide(delivery: Delivery, view: View[Stateless]) -> Outcome:
    """`delivery` is whatever the outside world wrote."""
    if not delivery.value:
        return DeadLetter("empty_value", "the record has no value; a request is a JSON object")
    request = read(delivery.value)
    return _refuse_raw(delivery, view, request) if isinstance(request, Failure) else _judge(request, delivery, view)


def read(value: bytes) -> Request | Failure:
    if len(value) > MAX_REQUEST_BYTES:
        size = f"the request has {len(value)} bytes; at most {MAX_REQUEST_BYTES} are taken: send less"
        return Failure(code="request_too_large", message=size)
    if is_surely_too_many(value):
        return refusal()
    try:
        return Request.decode(value)
    except ValidationError as error:
        found = complaint(error)
        return Failure(code="invalid_request", message=found.message, field=found.field or None)


def _judge(request: Request, delivery: Delivery, view: View[Stateless]) -> Outcome:
    ticket = ticket_of(request, delivery, view)
    denied = deny(view.control, request.tenant_id, credentials(delivery.headers))
    if denied is not None:
        return _turn_away(ticket, denied)
    late = overdue(request, view.now_ms)
    if late is not None:
        return _refuse(ticket, delivery, late)
    accepted = accept(request, ticket, delivery, view)
    if isinstance(accepted, Failure):
        return _refuse(ticket, delivery, accepted)
    return Forward((Record(VALIDATED, request.tenant_id, accepted),))


def overdue(request: Request, now_ms: int) -> Failure | None:
    if request.deadline_ms is None or request.deadline_ms > now_ms:
        return None
    late = (
        f"deadline_ms {request.deadline_ms} is {now_ms - request.deadline_ms} ms ago; it is a point in time, "
        "UTC in milliseconds since 1970: send a later one"
    )
    return Failure(code="deadline_exceeded", message=late, field="deadline_ms")


def accept(request: Request, ticket: Ticket, delivery: Delivery, view: View[Stateless]) -> Accepted | Failure:
    """What goes on of a request in time, whose tenant has proved who it is, or for whom an operator vouches."""
    control = view.control
    excess = too_many(request) or incoherent(request)
    if excess is not None:
        return excess
    choice = choose_route(control, ticket)
    if choice is None:
        unknown = f"model {request.model!r} is not served here; known: {_known_models(control, ticket)}, or auto"
        return Failure(code="unknown_model", message=unknown, field="model")
    guard = guard_of(control, ticket)
    if guard is not None:
        let_in = guard.let_in(request)
        if isinstance(let_in, Failure):
            return let_in
        request, mapping = let_in
        ticket = replace(ticket, redacted={**mapping} or None)
    request = bounded(request, control)
    prompt, summary = carried(ticket, request)
    excess = too_long(memoryview(prompt))
    if excess is not None:
        return excess
    tokens = input_tokens(request, choice, control)
    needs = summary.needs or NO_NEEDS
    if not choice.targets or not is_unconditional(choice, needs):
        inquiry = Inquiry(request.tenant_id, ticket.identity, needs, tokens, view.now_ms)
        failure = unservable(choice, inquiry, control)
        if failure is not None:
            return failure
    return Accepted(ticket=ticket, prompt=prompt, digest=_digest(delivery), input_tokens=tokens, summary=summary)


def bounded(request: Request, control: ControlView) -> Request:
    """With the tenant's own `params.max_tokens` where it names none."""
    tenant = control.tenants.get(request.tenant_id)
    if tenant is None or tenant.default_max_tokens is None or request.params.max_tokens is not None:
        return request
    params = request.params.model_copy(update={"max_tokens": tenant.default_max_tokens})
    return request.model_copy(update={"params": params})


def input_tokens(request: Request, choice: Choice, control: ControlView) -> int:
    """Guessed from the length, and counted only where that may decide something."""
    if _counts(request, choice, control):
        return estimate_tokens(request)
    guess, window = estimate_tokens(request, exactly=False), choice.context_tokens
    is_tight = window is not None and 2 * guess + (request.params.max_tokens or 0) > window
    return estimate_tokens(request) if is_tight else guess


def _counts(request: Request, choice: Choice, control: ControlView) -> bool:
    """Whether anybody needs to know how long the prompt is, for a limit of tokens or of money. Who comes to have one
    this very moment is held to a rougher estimate.
    """
    tenant = control.tenants.get(request.tenant_id)
    return tenant is not None and (
        request.tenant_id in control.budget_index
        or bool(choice.caps)
        or request.max_cost_usd is not None
        or any(counts_tokens(limits) for _, limits in limited(tenant, request.user_id, request.model))
    )


def deny(control: ControlView, tenant_id: str, key: SecretStr | MalformedCredentials | None) -> Failure | None:
    """None when the key proves the tenant. Every hash is compared, in constant time, and for a tenant that is unknown
    or switched off as for any other, so that timing tells nothing.
    """
    tenant = control.tenants.get(tenant_id)
    proven = _proves((() if tenant is None else tenant.key_sha256) or _NOBODYS, key)
    failure = not_served(control, tenant_id)
    if failure is not None or proven or (tenant is not None and tenant.open):
        return failure
    problem = _credentials_problem(key)
    message = f"{problem}; tenant {tenant_id!r} proves itself by the header `authorization: Bearer <key>`"
    return Failure(code="unauthenticated", message=message, field="authorization")


def _credentials_problem(key: SecretStr | MalformedCredentials | None) -> str:
    match key:
        case None:
            return "the authorization header is missing"
        case MalformedCredentials(problem):
            return problem
        case SecretStr():
            return "the key in the authorization header is not this tenant's"
        case _ as unreachable:
            assert_never(unreachable)


def _proves(hashes: tuple[str, ...], key: SecretStr | MalformedCredentials | None) -> bool:
    """One plain SHA-256 is enough for keys that nobody can guess: slow hashes are for passwords that people choose."""
    if not isinstance(key, SecretStr):
        return False
    given = hashlib.sha256(key.get_secret_value().encode()).hexdigest()
    return any([hmac.compare_digest(given, known) for known in hashes])  # noqa: C419  # no early end


def _refuse_raw(delivery: Delivery, view: View[Stateless], failure: Failure) -> Outcome:
    """Answers what is not a request, if it says under which id."""
    content = _salvage(delivery)
    ticket = None if content is None else _salvaged_ticket(content, delivery, view)
    if content is None or ticket is None:
        return DeadLetter("no_request_id", f"nobody to answer: {failure.message}")
    tenant_id = content.get("tenant_id")
    if isinstance(tenant_id, str) and tenant_id:
        denied = deny(view.control, tenant_id, credentials(delivery.headers))
        if denied is None:
            return _refuse(replace(ticket, tenant_id=tenant_id), delivery, failure)
        if failure.field != "tenant_id":
            return _turn_away(ticket, denied)
    return _turn_away(ticket, failure)


def _refuse(ticket: Ticket, delivery: Delivery, failure: Failure) -> Outcome:
    refused = Refused(ticket=ticket, digest=_digest(delivery), failure=failure)
    return Forward((Record(VALIDATED, ticket.tenant_id or "", refused),))


def _turn_away(ticket: Ticket, failure: Failure) -> Outcome:
    stranger = replace(ticket, tenant_id=None, user_id=None, labels={})
    return Finish(Completion(ticket=stranger, status="rejected", failure=failure))


def ticket_of(request: Request, delivery: Delivery, view: View[Stateless]) -> Ticket:
    return Ticket(
        request_id=request.request_id,
        tenant_id=request.tenant_id,
        user_id=request.user_id,
        session_id=request.session_id,
        model=request.model,
        task=request.task,
        priority=request.priority,
        cache=request.cache,
        stream=request.stream,
        deadline_ms=request.deadline_ms,
        labels=request.labels,
        origin=_origin(delivery),
        produced_at_ms=_produced_ms(delivery, view.now_ms),
        stamps={"validate": view.now_ms},
        trace_parent=trace_parent_of(delivery.headers),
        config_version=view.control.version,
    )


def _salvaged_ticket(content: JsonObject, delivery: Delivery, view: View[Stateless]) -> Ticket | None:
    request_id = content.get("request_id")
    if not isinstance(request_id, str) or not 0 < len(request_id) <= LONGEST_ANSWERABLE_ID or not _is_text(request_id):
        return None
    return Ticket(
        request_id=request_id,
        tenant_id=None,
        origin=_origin(delivery),
        produced_at_ms=_produced_ms(delivery, view.now_ms),
        stamps={"validate": view.now_ms},
        trace_parent=trace_parent_of(delivery.headers),
        config_version=view.control.version,
    )


def _salvage(delivery: Delivery) -> JsonObject | None:
    """The strict parser refuses NaN, numbers without bounds and half of a surrogate pair; the other one takes them."""
    for parse in (load_json, _leniently):
        try:
            content = parse(delivery.value or b"")
        except (ValueError, RecursionError):
            continue
        return cast("JsonObject", content) if isinstance(content, dict) else None
    return None


def _leniently(value: bytes) -> object:
    return json.loads(value.decode(), parse_int=float)


def _is_text(value: str) -> bool:
    """Half of a surrogate pair is no text: nothing that holds it could be sent on."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _requester(delivery: Delivery) -> Requester | None:
    """For a decision that failed: answered under no tenant's name, since nothing was proven."""
    content = _salvage(delivery)
    if content is None:
        return None
    written_ms = _produced_ms(delivery, 0)
    ticket = _salvaged_ticket(content, delivery, View(ControlView(), Stateless(), written_ms, delivery))
    return None if ticket is None else Requester(ticket)


def _produced_ms(delivery: Delivery, now_ms: int) -> int:
    """The record's own time, or now where it cannot be true: without one, or written in another unit."""
    return delivery.timestamp_ms if 0 < delivery.timestamp_ms < LATEST_MS else now_ms


def _origin(delivery: Delivery) -> Origin:
    return Origin(topic=delivery.topic, partition=delivery.partition, offset=delivery.offset)


def _digest(delivery: Delivery) -> str:
    return hashlib.sha256(delivery.value or b"").hexdigest()


def _known_models(control: ControlView, ticket: Ticket) -> str:
    """Only what would be found for this very ticket: routes of other tenants are not its business."""
    names = {name for route in control.routes.values() for name in route.models}
    names |= {name for deployment in control.deployments.values() for name in deployment.models}
    known = sorted(n for n in names if choose_route(control, replace(ticket, model=n)) is not None)
    more = len(known) - MODELS_NAMED
    return ", ".join(known[:MODELS_NAMED]) + (f" and {more} more" if more > 0 else "")


def _as_delivered(_topic: Topic, delivery: Delivery) -> Delivery:
    return delivery


STAGE: Stage[Delivery, Stateless] = Stage(
    name="validate",
    reads=(REQUESTS,),
    writes=(VALIDATED,),
    decide=decide,
    state=Stateless,
    parse=_as_delivered,
    requester=_requester,
    prepare=load_vocabulary,
)
