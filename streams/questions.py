"""When two requests are the same question: the keys under which answers are kept.

The tenant stands in front of the digest, in the clear, so that no collision and no bug in the digest can ever hand
one tenant's answer to another.
"""

import hashlib

from schemas.base import dump_json
from schemas.flow import Ticket
from schemas.prompt import Prompt, SystemMessage


def _digest(value: object) -> str:
    return hashlib.sha256(dump_json(value, sort_keys=True)).hexdigest()


def namespace_of(tenant_id: str, ticket: Ticket, prompt: Prompt) -> str:
    """Tenant, and a digest of what frames the question: model, task, system prompt, tools and parameters."""
    system = [m.model_dump(mode="json") for m in prompt.messages if isinstance(m, SystemMessage)]
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
