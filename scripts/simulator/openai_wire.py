"""What OpenAI's endpoints share: the key, the shape of an error, and the headers of every answer."""

from math import ceil
from typing import Literal

import orjson

from scripts.simulator.ask import Refusal, RefusalKind
from scripts.simulator.dialect import HeaderList, Headers
from scripts.simulator.quota import Quota, Standing

_ERROR_TYPES: dict[RefusalKind, str] = {
    "invalid": "invalid_request_error",
    "unauthenticated": "invalid_request_error",
    "unknown_model": "invalid_request_error",
    "unknown_path": "invalid_request_error",
    "too_large": "invalid_request_error",
    "rate_limited": "requests",
    "out_of_credit": "insufficient_quota",
    "broken": "server_error",
    "overloaded": "server_error",
}
_ERROR_CODES: dict[RefusalKind, str] = {
    "unauthenticated": "invalid_api_key",
    "unknown_model": "model_not_found",
    "unknown_path": "unknown_url",
    "rate_limited": "rate_limit_exceeded",
    "out_of_credit": "insufficient_quota",
}


class OpenAIWire:
    """The part of the dialect that no endpoint words differently."""

    provider: Literal["openai"] = "openai"

    def api_key(self, headers: Headers) -> str | None:
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        return (token.decode("latin-1").strip() or None) if scheme.lower() == b"bearer" else None

    def error(self, refusal: Refusal, request_id: str) -> bytes:  # noqa: ARG002 - only Anthropic repeats it here
        return orjson.dumps(
            {
                "error": {
                    "message": refusal.message,
                    "type": _ERROR_TYPES[refusal.kind],
                    "param": refusal.param,
                    "code": refusal.code or _ERROR_CODES.get(refusal.kind),
                }
            }
        )

    def error_event(self, refusal: Refusal, request_id: str) -> bytes:
        return b"data: %s\n\n" % self.error(refusal, request_id)

    def headers(self, request_id: str) -> HeaderList:
        return [(b"x-request-id", request_id.encode()), (b"openai-version", b"2020-10-01")]

    def retry_headers(self, wait_s: float) -> HeaderList:
        """Whole seconds in the standard header, the exact wait in OpenAI's own."""
        return [(b"retry-after", b"%d" % ceil(wait_s)), (b"retry-after-ms", b"%d" % ceil(wait_s * 1000))]

    def limit_headers(self, quota: Quota, standing: Standing) -> HeaderList:
        rows: HeaderList = []
        for name, limit, remaining in (
            (b"requests", quota.requests_per_minute, standing.remaining_requests),
            (b"tokens", quota.tokens_per_minute, standing.remaining_tokens),
        ):
            if limit:
                full_in_ms = ceil((limit - remaining) * 60_000 / limit)
                rows += [
                    (b"x-ratelimit-limit-" + name, b"%d" % limit),
                    (b"x-ratelimit-remaining-" + name, b"%d" % remaining),
                    (b"x-ratelimit-reset-" + name, b"%dms" % full_in_ms),
                ]
        return rows
