"""When two requests are the same question: the keys under which answers are kept.

The tenant stands in front of the digest, in the clear, so that no collision and no bug in the digest can ever hand
one tenant's answer to another.
"""

import hashlib
from decimal import Decimal

from msgspec import Raw
from pydantic import ValidationError

from schemas.base import JsonObject, dump_json
from schemas.flow import Accepted, Admitted, Needs, PromptSummary, Ticket
from schemas.prompt import ImagePart, Message, Params, Prompt, UserMessage
from schemas.request import Request
from schemas.wire import DecodeError

_FRAMING = frozenset({"system", "developer"})


def prompt_of(carried: Raw) -> Prompt:
    """Raises DecodeError, without a word of the prompt."""
    try:
        return Prompt.decode(bytes(carried))
    except ValidationError:
        pass
    raise DecodeError("the prompt is none")


def carried(ticket: Ticket, asked: Prompt | Request) -> tuple[Raw, PromptSummary]:
    """The prompt as it travels, and its summary: the messages are written once, for both."""
    said = _messages(asked)
    written = dump_json(said, sort_keys=True)
    chosen = asked.cache_namespace if isinstance(asked, Request) else None
    namespace = _namespace(ticket.tenant_id or "", ticket, said, asked.params, chosen)
    prompt = Raw(b'{"messages":%b,"params":%b}' % (written, asked.params.encode()))
    return prompt, _summary(namespace, _entry(namespace, written), asked)


def summary_of(
    ticket: Ticket, prompt: Prompt, *, chosen: str | None = None, max_cost_usd: Decimal | None = None
) -> PromptSummary:
    """`chosen`: the request's own `cache_namespace`, which like its `max_cost_usd` is no part of the prompt."""
    namespace = _namespace(ticket.tenant_id or "", ticket, _messages(prompt), prompt.params, chosen)
    return _summary(namespace, entry_of(namespace, prompt), prompt, max_cost_usd)


def summarized(event: Accepted | Admitted) -> PromptSummary:
    """As it came with the event, or made now for an event of an older process. Raises DecodeError."""
    return event.summary or summary_of(event.ticket, prompt_of(event.prompt))


def namespace_of(tenant_id: str, ticket: Ticket, prompt: Prompt) -> str:
    """Tenant, and a digest of what frames the question: model, task, system prompt, tools and parameters."""
    return _namespace(tenant_id, ticket, _messages(prompt), prompt.params)


def entry_of(namespace: str, prompt: Prompt) -> str:
    """The namespace, and a digest of the whole conversation."""
    return _entry(namespace, dump_json(_messages(prompt), sort_keys=True))


def _messages(asked: Prompt | Request) -> list[JsonObject]:
    return asked.model_dump(mode="json", include={"messages"})["messages"]


def _summary(namespace: str, entry: str, asked: Prompt | Request, max_cost_usd: Decimal | None = None) -> PromptSummary:
    return PromptSummary(
        namespace=namespace,
        entry=entry,
        max_tokens=asked.params.max_tokens,
        wants_json=asked.params.wants_json,
        needs=needs_of(asked, max_cost_usd),
    )


def needs_of(asked: Prompt | Request, max_cost_usd: Decimal | None = None) -> Needs | None:
    """None when any model will do. What may be paid is no part of the question: an answer that is kept is free."""
    params, usd = asked.params, asked.max_cost_usd if isinstance(asked, Request) else max_cost_usd
    has_images = any(map(_has_image, asked.messages))
    if params.max_tokens is None and usd is None and not (params.tools or has_images or params.wants_json):
        return None
    return Needs(
        max_tokens=params.max_tokens,
        tools=bool(params.tools),
        images=has_images,
        structured_output=params.wants_json,
        max_cost_usd=None if usd is None else Decimal(usd),
    )


def _has_image(message: Message) -> bool:
    return (
        isinstance(message, UserMessage)
        and not isinstance(message.content, str)
        and any(isinstance(part, ImagePart) for part in message.content)
    )


def needs_in(summary: PromptSummary) -> Needs:
    """Of an older process's summary, what it says of them."""
    return summary.needs or Needs(max_tokens=summary.max_tokens)


def chosen_namespace(tenant_id: str, name: str) -> str:
    """How the namespaces of a tenant's requests begin that name one. No name has a colon, and no digest."""
    return f"{tenant_id}/{name}:"


def chosen_in(tenant_id: str, namespace: str) -> str | None:
    """The name in it that `chosen_namespace` put there."""
    name, colon, _ = namespace.removeprefix(f"{tenant_id}/").partition(":")
    return name if colon else None


def _namespace(
    tenant_id: str, ticket: Ticket, said: list[JsonObject], params: Params, chosen: str | None = None
) -> str:
    frame = {
        "model": ticket.model,
        "task": ticket.task,
        "system": [message for message in said if message["role"] in _FRAMING],
        "params": params.model_dump(mode="json", by_alias=True, exclude_defaults=True),
    }
    start = f"{tenant_id}/" if chosen is None else chosen_namespace(tenant_id, chosen)
    return f"{start}{_digest(dump_json(frame, sort_keys=True))}"


def _entry(namespace: str, written: bytes) -> str:
    return f"{namespace}/{_digest(written)}"


def _digest(written: bytes) -> str:
    return hashlib.sha256(written).hexdigest()
