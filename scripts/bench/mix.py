"""The requests of a run: the same bytes for everybody who is measured."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.base import dump_json

TENANTS: Final = tuple(f"bench-{number}" for number in range(8))
KEY: Final = "bench-key"
"""Of every tenant of a bench; it opens nothing else."""
_SYSTEM: Final = "You write copy for a shop. Answer in one paragraph of plain English."
_USER: Final = (
    "Write a short product description for a new stainless steel water bottle that keeps drinks cold. Mention the "
    "material, the size, and who it is for; leave the price out. It goes on a page with many others, so its first "
    "words should say what is special about this one, and its last should make a reader want to hold it."
)


class Mix(BaseModel):
    """`name` makes ids this run's own. With `distinct` prompts and the cache on, all but the first of each are hits.

    `answer_tokens` and `prompt_tokens`, where given, are those of each request in turn, in one-token words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    count: int = Field(ge=1)
    cache: Literal["off", "default"] = "off"
    distinct: int | None = None
    prompt_tokens: Sequence[int] = ()
    answer_tokens: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Sent:
    request_id: str
    tenant_id: str
    value: bytes


def requests(mix: Mix) -> Iterator[Sent]:
    """`count` events for `llm.requests`, about 800 bytes each where no length is given."""
    for number in range(mix.count):
        request_id, tenant = f"{mix.name}-{number}", TENANTS[number % len(TENANTS)]
        asked = f"{_USER} Variant {_variant(mix, number)}."
        if mix.prompt_tokens:
            asked = " ".join(("grain",) * mix.prompt_tokens[number]) + f" {number}"
        value = {
            "schema_version": 1,
            "request_id": request_id,
            "tenant_id": tenant,
            "user_id": f"user-{number % 50}",
            "model": "gpt-4o-mini",
            "messages": [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": asked}],
            "params": {"max_tokens": mix.answer_tokens[number] if mix.answer_tokens else 200},
            "cache": mix.cache,
            "labels": {"feature": "bench", "env": "dev"},
        }
        yield Sent(request_id, tenant, dump_json(value))


def _variant(mix: Mix, number: int) -> str:
    """Hits must repeat what the same tenant asked, also in a later run; all else is asked once."""
    if mix.distinct is None:
        return f"{mix.name}/{number}"
    return f"kept/{number // len(TENANTS) % max(mix.distinct // len(TENANTS), 1)}"


def number_of(request_id: str) -> int:
    """Which of its run."""
    return int(request_id.rpartition("-")[2])
