"""What operators did, on `llm.audit`: kept longer than anything else, and never changed."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import EpochMs, Model

Action = Literal[
    "budget_override",
    "override_ended",
    "spend_stop_lifted",
    "repriced",
    "reconciled",
    "cache_invalidated",
    "cache_warmed",
    "redriven",
]


class Audit(Model):
    schema_version: Literal[1] = 1
    action: Action
    subject: Annotated[str, Field(min_length=1, max_length=256, description="kind/name of what it was done to")]
    by: Annotated[str, Field(min_length=1, max_length=128)]
    reason: Annotated[str, Field(min_length=1, max_length=500)]
    detail: dict[str, str] = Field(default={}, description="what exactly, as text; never a secret or a prompt")
    at_ms: EpochMs
