"""When two requests are the same question: the keys under which answers are kept.

The tenant stands in front of the digest, in the clear, so that no collision and no bug in the digest can ever hand
one tenant's answer to another.
"""

import hashlib

from msgspec import Raw
from pydantic import ValidationError

from schemas.base import dump_json
from schemas.flow import Accepted, Admitted, PromptSummary, Ticket
from schemas.prompt import Prompt
from schemas.wire import DecodeError


def prompt_of(carried: Raw) -> Prompt:
    """Raises DecodeError, without a word of the prompt."""
    try:
        return Prompt.decode(bytes(carried))
    except ValidationError:
        pass
    raise DecodeError("the prompt is none")


def summary_of(ticket: Ticket, prompt: Prompt) -> PromptSummary:
    namespace = namespace_of(ticket.tenant_id or "", ticket, prompt)
    return PromptSummary(
        namespace=namespace,
        entry=entry_of(namespace, prompt),
        max_tokens=prompt.params.max_tokens,
        wants_json=prompt.params.wants_json,
    )


def summarized(event: Accepted | Admitted) -> PromptSummary:
    """As it came with the event, or made now for an event of an older process. Raises DecodeError."""
    return event.summary or summary_of(event.ticket, prompt_of(event.prompt))


def _digest(value: object) -> str:
    return hashlib.sha256(dump_json(value, sort_keys=True)).hexdigest()


def namespace_of(tenant_id: str, ticket: Ticket, prompt: Prompt) -> str:
    """Tenant, and a digest of what frames the question: model, task, system prompt, tools and parameters."""
    system = [m.model_dump(mode="json") for m in prompt.messages if m.role in {"system", "developer"}]
    frame = {
        "model": ticket.model,
        "task": ticket.task,
        "system": system,
        "params": prompt.params.model_dump(mode="json", by_alias=True, exclude_defaults=True),
    }
    return f"{tenant_id}/{_digest(frame)}"


def entry_of(namespace: str, prompt: Prompt) -> str:
    """The namespace, and a digest of the whole conversation."""
    return f"{namespace}/{_digest([m.model_dump(mode='json') for m in prompt.messages])}"
