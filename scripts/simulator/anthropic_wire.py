"""What Anthropic's endpoints share: the key, the shape of an error, and the headers of every answer."""

from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Literal

import orjson

from scripts.simulator.ask import Refusal, RefusalKind
from scripts.simulator.dialect import HeaderList, Headers
from scripts.simulator.quota import Quota, Standing

_ERROR_TYPES: dict[RefusalKind, str] = {
    "invalid": "invalid_request_error",
    "unauthenticated": "authentication_error",
    "unknown_model": "not_found_error",
    "unknown_path": "not_found_error",
    "too_large": "request_too_large",
    "rate_limited": "rate_limit_error",
    "out_of_credit": "invalid_request_error",
    "broken": "api_error",
    "overloaded": "overloaded_error",
}


class AnthropicWire:
    """The part of the dialect that no endpoint words differently."""

    provider: Literal["anthropic"] = "anthropic"

    def api_key(self, headers: Headers) -> str | None:
        key = headers.get(b"x-api-key") or headers.get(b"authorization", b"").removeprefix(b"Bearer ")
        return key.decode("latin-1").strip() or None

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        error = {"type": _ERROR_TYPES[refusal.kind], "message": refusal.message}
        return orjson.dumps({"type": "error", "error": error, "request_id": request_id})

    def error_event(self, refusal: Refusal, request_id: str) -> bytes:
        return b"event: error\ndata: %s\n\n" % self.error(refusal, request_id)

    def headers(self, request_id: str) -> HeaderList:
        return [(b"request-id", request_id.encode())]

    def retry_headers(self, wait_s: float) -> HeaderList:
        return [(b"retry-after", b"%d" % ceil(wait_s))]

    def limit_headers(self, quota: Quota, standing: Standing) -> HeaderList:
        rows: HeaderList = []
        for name, limit, remaining in (
            (b"requests", quota.requests_per_minute, standing.remaining_requests),
            (b"tokens", quota.tokens_per_minute, standing.remaining_tokens),
        ):
            if limit:
                prefix = b"anthropic-ratelimit-%s-" % name
                full_at = datetime.now(UTC) + timedelta(minutes=(limit - remaining) / limit)
                rows += [
                    (prefix + b"limit", b"%d" % limit),
                    (prefix + b"remaining", b"%d" % remaining),
                    (prefix + b"reset", full_at.strftime("%Y-%m-%dT%H:%M:%SZ").encode()),
                ]
        return rows
