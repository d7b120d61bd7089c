"""What the end of a call says about the deployment that was asked: for `watch` and for the worker that asked."""

from typing import Literal

from schemas.attempt import ErrorClass
from schemas.response import ErrorCode

Verdict = Literal["answered", "failed", "limited"]
"""`limited`: the provider is well and says 429. That is answered by asking less, not by asking nobody."""

PROVIDER_FAULTS: frozenset[ErrorClass] = frozenset(
    {"overloaded", "server_error", "timeout", "connection", "cut_stream", "malformed_response"}
)
ANSWERS_OF_A_HEALTHY_PROVIDER: frozenset[ErrorClass | ErrorCode] = frozenset(
    {"bad_request", "content_filtered", "invalid_output"}
)


def verdict_of(error_class: ErrorClass | ErrorCode | None) -> Verdict | None:
    """None where the end says nothing about the provider: the call was broken off by us, the request expired, or our
    own configuration (key, permission, model name) was refused.
    """
    if error_class is None or error_class in ANSWERS_OF_A_HEALTHY_PROVIDER:
        return "answered"
    if error_class == "rate_limited":
        return "limited"
    return "failed" if error_class in PROVIDER_FAULTS else None
