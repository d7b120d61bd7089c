"""From the bytes of a request to the call it becomes, or to the refusal it gets: nothing here waits."""

import time
from dataclasses import dataclass, replace
from datetime import datetime

import orjson

from scripts.simulator import refusals
from scripts.simulator.ask import Ask, Refusal, invalid
from scripts.simulator.bill import Charge, Ending, key_id
from scripts.simulator.dialect import Dialect, HeaderList, Headers, Reply
from scripts.simulator.faults import Cut, Flaw, Hang, Refuse, Silence, Slow, kind_of
from scripts.simulator.latency import Pace
from scripts.simulator.shapes import as_object
from scripts.simulator.state import State
from scripts.simulator.usage import UNUSED


@dataclass(frozen=True, slots=True)
class Call:
    """An admitted request with all that will be answered, and the fault it meets on the way."""

    arrived: datetime
    reply: Reply
    fault: Silence | Flaw | None
    pace: Pace
    key_id: str
    endpoint: str
    request_id: str
    client_request_id: str | None
    headers: HeaderList

    def charge(self, ending: Ending, generated: int | None = None) -> Charge:
        """What the provider charges when the call ends so, after so many tokens (all of them when None)."""
        usage = self.reply.usage
        return Charge(
            model=self.reply.ask.model,
            arrived=self.arrived,
            key_id=self.key_id,
            endpoint=self.endpoint,
            request_id=self.request_id,
            client_request_id=self.client_request_id,
            stream=self.reply.ask.stream,
            usage=usage if generated is None else usage.after(generated),
            ending=ending,
        )


@dataclass(frozen=True, slots=True)
class Denied:
    refusal: Refusal
    headers: HeaderList


def admit(dialect: Dialect, state: State, headers: Headers, raw: bytes, request_id: str) -> Call | Denied:
    """The order is the providers': the key, the body, the limits; then what is to go wrong."""
    arrived = state.now()
    shown = dialect.headers(request_id)
    key = dialect.api_key(headers)
    if key is None or not state.accepts(key):
        return Denied(refusals.unauthenticated(dialect.provider, given=key is not None), shown)
    ask = _read(dialect, headers, raw)
    if isinstance(ask, Refusal):
        return Denied(ask, shown)
    owner = key_id(key)
    refusal, limits = _limited(dialect, state, ask, owner)
    shown += limits
    fault = refusal or _struck(state, ask)
    if isinstance(fault, Refusal):
        wait_s = fault.retry_after_s
        return Denied(fault, shown if wait_s is None else shown + dialect.retry_headers(wait_s))
    reply = _reply(dialect, state, ask, owner, fault)
    pace = state.tempo.pace(ask.identity, reply.answer.reasoning)
    client_id = headers.get(b"x-client-request-id")
    return Call(
        arrived=arrived,
        reply=reply,
        fault=fault,
        pace=pace.later_by(fault.delay_s) if isinstance(fault, Slow) else pace,
        key_id=owner,
        endpoint=dialect.endpoint,
        request_id=request_id,
        client_request_id=None if client_id is None else client_id.decode("latin-1"),
        headers=shown,
    )


def _limited(dialect: Dialect, state: State, ask: Ask, owner: str) -> tuple[Refusal | None, HeaderList]:
    """Whether the call exceeds a limit of its key, and the headers that say how far the key has got."""
    if not state.quota.limited:
        return None, []
    standing = state.quota.take(owner, ask.model.name, ask.prompt.total + (ask.max_tokens or 0))
    refusal = refusals.over_limit(state.quota, standing, ask.model) if standing.exceeded else None
    return refusal, dialect.limit_headers(state.quota, standing)


def _struck(state: State, ask: Ask) -> Refusal | Silence | Flaw | None:
    try:
        fault = state.faults.strike(ask)
    except ValueError as error:
        return invalid(str(error))
    if fault is not None:
        state.stats.faults[kind_of(fault)] += 1
    if isinstance(fault, Refuse):
        return refusals.for_fault(fault, ask.model)
    if isinstance(fault, Cut) and fault.reported and not ask.stream:
        return refusals.broken()
    return fault


def _read(dialect: Dialect, headers: Headers, raw: bytes) -> Ask | Refusal:
    try:
        body = as_object(orjson.loads(raw))
        orjson.dumps(body)  # it reads deeper than it writes, and all the rest of us writes what was read
    except (orjson.JSONDecodeError, TypeError):
        body = None
    return refusals.not_json() if body is None else dialect.read(headers, body)


def _reply(dialect: Dialect, state: State, ask: Ask, owner: str, fault: Silence | Flaw | None) -> Reply:
    answer = dialect.answer(state.author, ask)
    # A call that hangs is never worked on, so its prompt is not in the cache for the next one.
    usage = None if isinstance(fault, Hang) else dialect.usage(state.cache, f"{owner} {ask.model.name}", ask)
    return Reply(
        ask=ask,
        answer=answer,
        usage=replace(usage, output=answer.output, reasoning=answer.reasoning) if usage else UNUSED,
        serial=state.serial(),
        created_s=int(time.time()),
    )
