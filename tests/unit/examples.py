"""Complete, ordinary events for tests of decisions: what a test does not name is as it usually is."""

from collections.abc import Iterable
from typing import Any, TypeVar

from msgspec import Raw

from schemas.account import LimitUnit
from schemas.attempt import Attempt
from schemas.base import Event, dump_json
from schemas.call import CallRow
from schemas.control import AnyControl, Breaker, Deployment, Limits, Route, RouteTarget, Tenant
from schemas.flow import Accepted, Admitted, Answer, CacheSlot, Completion, Dispatch, Miss, Needs, Plan, Target, Ticket
from schemas.prompt import Params, Prompt, UserMessage
from schemas.response import Output
from schemas.routing import Latency
from schemas.topics import Topic
from schemas.wire import Origin
from streams.control import ControlView, with_object
from streams.questions import summarized, summary_of
from streams.runtime.delivery import Delivery, Headers
from streams.runtime.outcome import Finish, Forward, Outcome, Record
from streams.runtime.stage import State, View
from streams.state.accounts import Accounts

NOW_MS = 1_795_000_000_000
"""2026-11-18 11:06:40 UTC."""
DIGEST, OTHER_DIGEST = "c0" * 32, "07" * 32
KEY = "sk-canary-0123456789"
KEY_SHA256 = "782a873f91fd258b54764341c4a815bbd50ac329897382133c5ef9f3c6dbe2ca"
PROMPT_CANARY = "the secret recipe is thyme"

E = TypeVar("E", bound=Event)
S = TypeVar("S", bound=State)


def tenant(name: str = "acme", *, open_: bool = True, **changes: Any) -> Tenant:
    return Tenant(name=name, open=open_, **changes)


def limited_tenant(
    name: str = "acme",
    *,
    user_limits: Limits | None = None,
    model_limits: dict[str, Limits] | None = None,
    **limits: Any,
) -> Tenant:
    return tenant(name, limits=Limits(**limits), user_limits=user_limits or Limits(), model_limits=model_limits or {})


def deployment(name: str = "openai-1", *models: str, **changes: Any) -> Deployment:
    """Serves `gpt-5-mini` under the provider's name for it, unless other models are named."""
    facts: dict[str, Any] = {
        "provider": "openai",
        "key_ref": "openai_api_key",
        "models": {model: f"{model}-2026" for model in models or ("gpt-5-mini",)},
        **changes,
    }
    return Deployment(name=name, **facts)


def route(name: str = "default", *deployments: str, **changes: Any) -> Route:
    targets = tuple(RouteTarget(deployment=each) for each in deployments or ("openai-1",))
    return Route(name=name, targets=changes.pop("targets", targets), **changes)


def breaker(name: str = "openai-1", *, until_ms: int, **changes: Any) -> Breaker:
    facts: dict[str, Any] = {"state": "open", "failure_share": 0.9, "calls": 20, "p95_ms": 900, "since_ms": NOW_MS}
    return Breaker(name=name, until_ms=until_ms, **{**facts, **changes})


def latency(name: str = "openai-1", p50_ms: int = 400, **changes: Any) -> Latency:
    facts: dict[str, Any] = {"p95_ms": 3 * p50_ms, "calls": 40, "at_ms": NOW_MS, **changes}
    return Latency(name=name, p50_ms=p50_ms, **facts)


def control(*objects: AnyControl) -> ControlView:
    """One tenant, one deployment and the default route; then, in order, whatever is named."""
    view = ControlView()
    for version, each in enumerate((tenant(), deployment(), route(), *objects)):
        view = with_object(view, each, version)
    return view


def request_json(**changes: Any) -> bytes:
    facts: dict[str, Any] = {
        "request_id": "r-1",
        "tenant_id": "acme",
        "model": "gpt-5-mini",
        "messages": [{"role": "user", "content": "Is it ripe?"}],
        **changes,
    }
    return dump_json({name: value for name, value in facts.items() if value is not ...})


def delivery(value: bytes | None = b"{}", *, offset: int = 7, **changes: Any) -> Delivery:
    facts: dict[str, Any] = {"topic": "llm.requests", "partition": 0, "key": None, "headers": (), **changes}
    return Delivery(offset=offset, value=value, timestamp_ms=facts.pop("timestamp_ms", NOW_MS), **facts)


def bearing(key: str) -> Headers:
    return (("authorization", f"Bearer {key}".encode()),)


def prompt(text: str = "Is it ripe?", **params: Any) -> Prompt:
    return Prompt(messages=(UserMessage(role="user", content=text),), params=Params(**params))


def carried(asked: Prompt) -> Raw:
    """As it travels between the stages."""
    return Raw(asked.encode())


def ticket(request_id: str = "r-1", **changes: Any) -> Ticket:
    facts: dict[str, Any] = {
        "tenant_id": "acme",
        "model": "gpt-5-mini",
        "origin": Origin(topic="llm.requests", partition=0, offset=7),
        "produced_at_ms": NOW_MS,
        "stamps": {"validate": NOW_MS},
        **changes,
    }
    return Ticket(request_id=request_id, **facts)


def accepted(request_id: str = "r-1", *, digest: str = DIGEST, input_tokens: int = 10, **changes: Any) -> Accepted:
    asked = changes.pop("prompt", None) or prompt()
    mine = ticket(request_id, **changes)
    return Accepted(
        ticket=mine,
        prompt=carried(asked),
        digest=digest,
        input_tokens=input_tokens,
        summary=summary_of(mine, asked),
    )


def admitted(request_id: str = "r-1", *, text: str = "Is it ripe?", **changes: Any) -> Admitted:
    asked = changes.pop("prompt", None) or prompt(text)
    mine = ticket(request_id, **changes)
    summary = summary_of(mine, asked)
    return Admitted(ticket=mine, prompt=carried(asked), input_tokens=10, namespace=summary.namespace, summary=summary)


def slot_of(event: Admitted) -> CacheSlot:
    return CacheSlot(namespace=event.namespace, entry=summarized(event).entry, expires_after_ms=86_400_000)


def miss(
    request_id: str = "r-1",
    *,
    slot: CacheSlot | None = None,
    needs: Needs | None = None,
    input_tokens: int = 10,
    **changes: Any,
) -> Miss:
    mine = ticket(request_id, **changes)
    return Miss(ticket=mine, prompt=carried(prompt()), input_tokens=input_tokens, slot=slot, needs=needs)


def target(name: str = "openai-1") -> Target:
    return Target(deployment=name, provider="openai", model="gpt-5-mini-2026")


def plan(*deployments: str, **changes: Any) -> Plan:
    targets = tuple(target(each) for each in deployments or ("openai-1",))
    facts: dict[str, Any] = {"max_attempts": 3, "timeout_ms": 15_000, **changes}
    return Plan(route="default", reason="default route", targets=targets, **facts)


def dispatch(*deployments: str, ticket_: Ticket | None = None, **changes: Any) -> Dispatch:
    return Dispatch(
        ticket=ticket_ or ticket(),
        prompt=carried(prompt(PROMPT_CANARY)),
        input_tokens=10,
        plan=plan(*deployments, **changes),
    )


def attempt(number: int = 1, **changes: Any) -> Attempt:
    """One that was answered: 12 tokens in, 5 out, in a second."""
    facts: dict[str, Any] = {
        "attempt_id": f"attempt-{number}",
        "attempt_no": number,
        "target_index": 0,
        "deployment": "openai-1",
        "provider": "openai",
        "model": "gpt-5-mini",
        "started_at_ms": NOW_MS + 100,
        "ended_at_ms": NOW_MS + 1_100,
        "finish_reason": "stop",
        "usage_raw": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17},
        "usage_source": "provider",
        "http_status": 200,
        **changes,
    }
    return Attempt(**facts)


def failed_attempt(number: int = 1, **changes: Any) -> Attempt:
    """One that was turned away: free, and worth another try."""
    facts: dict[str, Any] = {
        "finish_reason": None,
        "usage_raw": None,
        "usage_source": "none",
        "http_status": 429,
        "error_class": "rate_limited",
        "error_message": "The provider refused (HTTP 429): wait.",
        "retryable": True,
        **changes,
    }
    return attempt(number, **facts)


def answer(content: str | None = "Yes.", **changes: Any) -> Answer:
    facts: dict[str, Any] = {"output": Output(content=content), "finish_reason": "stop", **changes}
    return Answer(model="gpt-5-mini-2026", provider="openai", deployment="openai-1", **facts)


def completion(**changes: Any) -> Completion:
    """Answered by its first attempt, without a place in the cache."""
    facts: dict[str, Any] = {
        "ticket": ticket(
            stamps={"validate": NOW_MS, "limit": NOW_MS + 5, "route": NOW_MS + 9, "invoke": NOW_MS + 1_100}
        ),
        "status": "ok",
        "answer": answer(),
        "attempts": (attempt(),),
        "plan": plan(),
        **changes,
    }
    return Completion(**facts)


def view(state: S, *, now_ms: int = NOW_MS, parked_ms: int | None = None, **changes: Any) -> View[S]:
    return View(
        control=changes.get("control") or control(),
        state=state,
        now_ms=now_ms,
        delivery=changes.get("delivery") or delivery(),
        parked_ms=parked_ms,
    )


def forwarded(outcome: Outcome) -> tuple[Record, ...]:
    assert isinstance(outcome, Forward), outcome
    return outcome.records


def finished(outcome: Outcome) -> Completion:
    assert isinstance(outcome, Finish), outcome
    return outcome.completion


def records_of(outcome: Outcome) -> tuple[Record, ...]:
    return outcome.records if isinstance(outcome, Forward | Finish) else ()


def on(topic: Topic, records: Iterable[Record], kind: type[E]) -> list[E]:
    """The events for one topic, which must all be of one kind."""
    events = [record.event for record in records if record.topic is topic]
    found = [event for event in events if isinstance(event, kind)]
    assert len(found) == len(events), events
    return found


def arrival_of(accounts: Accounts, unit: LimitUnit, user_id: str | None = None, tenant_id: str = "acme") -> int | None:
    """Of the tenant's meter, or of the user's."""
    meters = accounts.meters(tenant_id, user_id)
    return None if meters is None else meters.of(unit)


def table_records(topic: Topic, outcome: Outcome) -> list[Event]:
    return [record.event for record in records_of(outcome) if record.topic is topic]


def call_rows(records: Iterable[Record], topic: Topic) -> list[CallRow]:
    return on(topic, records, CallRow)
