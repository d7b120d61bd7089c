"""One record for `llm.requests`, and how long after its arrival it is due."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "plain",
    "streamed",
    "json",
    "tool",
    "session",
    "tight_deadline",
    "wide_deadline",
    "late",
    "shared_across_tenants",
    "shared_in_tenant",
    "repeated",
    "reused_id",
    "missing_field",
    "unknown_model",
    "unknown_tenant",
    "wrong_key",
    "no_key",
    "not_json",
    "too_long_id",
    "too_large",
    "empty",
]


@dataclass(frozen=True, slots=True)
class Sending:
    """`credentials` is what follows `Bearer `; None sends no such header. Names are None where the record has none."""

    kind: Kind
    tenant_id: str | None
    request_id: str | None
    key: bytes | None
    value: bytes | None
    credentials: str | None
    after_s: float = 0.0
