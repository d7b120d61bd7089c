"""The event that producers publish to `llm.requests`."""

from typing import Annotated, Literal, Self

from pydantic import Field

from schemas.base import EpochMs, Model, Name, Several, TenantId
from schemas.money import Money
from schemas.prompt import MOST_MESSAGES, Message, Params

MAX_REQUEST_ID_CHARS = 128

PRINTED_PATTERN = r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$"  # no control characters, and not only blanks
RequestId = Annotated[str, Field(min_length=1, max_length=MAX_REQUEST_ID_CHARS, pattern=PRINTED_PATTERN)]
UserId = Annotated[str, Field(min_length=1, max_length=128, pattern=PRINTED_PATTERN)]
LABEL_KEY_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
LabelKey = Annotated[str, Field(min_length=1, max_length=64, pattern=LABEL_KEY_PATTERN)]
LabelValue = Annotated[str, Field(max_length=256)]
Priority = Literal["high", "normal", "low"]
CacheMode = Literal["default", "off", "refresh", "only"]


class Request(Model):
    """One question to a model. `request_id` is the idempotency key: per tenant, each id is answered once.

    Credentials are not part of the event: they travel in the `authorization` header and go no further than
    validation. A request names a model, an alias or `auto`; it can never carry an address.
    """

    schema_version: Literal[1] = 1
    request_id: RequestId
    tenant_id: TenantId
    user_id: UserId | None = None
    model: Name = Field(default="auto", description="a model, an alias, or `auto` for the task's or default route")
    task: Name | None = None
    messages: Annotated[Several[Message], Field(min_length=1, max_length=MOST_MESSAGES)]
    params: Params = Params()
    priority: Priority = "normal"
    deadline_ms: EpochMs | None = Field(
        default=None, description="UTC, milliseconds since 1970; answered or expired by then"
    )
    max_cost_usd: Money | None = Field(
        default=None, description="a model that may cost more, by one call for this request, is not asked"
    )
    cache: CacheMode = "default"
    cache_namespace: LabelKey | None = Field(
        default=None,
        description="answers are shared only within it: a prompt's version, an environment; invalidated by its name",
    )
    stream: bool = False
    session_id: Name | None = None
    labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=16)] = Field(
        default_factory=dict, description="feature, env, prompt_version, … for chargeback"
    )

    @classmethod
    def decode(cls, value: bytes) -> Self:
        """Types are taken at their word: "5" is not a number here, as the published schema says."""
        return cls.model_validate_json(value, strict=True)
