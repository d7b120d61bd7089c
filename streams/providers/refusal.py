"""What a refusal by HTTP status means for us: wait, go elsewhere, or give up. Nothing the provider wrote is repeated,

except short machine words: providers quote prompts and keys in their messages.
"""

import re
from dataclasses import dataclass

from schemas.attempt import ErrorClass
from streams.providers.protocol import Lost, Misconfigured, ProviderError, TurnedAway, Unacceptable

_WORD = re.compile(r"[a-z]{2,24}(_[a-z]{1,24}|_[0-9]{1,3}){0,7}")
"""Error codes: lower-case words, few digits, no hyphens. No provider's key has this shape, and no sentence has."""
_PATH = re.compile(r"[a-z_]{2,32}((\.[a-z_]{1,32})|(\[[0-9]{1,4}\])|(\.[0-9]{1,4})){0,8}")

_FILTERED = frozenset({"content_filter", "content_policy_violation", "moderation_blocked"})
_WITHOUT_CREDIT = frozenset(
    {
        "insufficient_quota",
        "billing_error",
        "billing_hard_limit_reached",
        "contract_spend_limit_reached",
        "enforced_spend_limit_reached",
        "linked_organization_spend_limit_reached",
    }
)
_UNKNOWN_MODEL = frozenset({"model_not_found", "deployment_not_found"})
_STATUS_OF_EVENT = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """`words` are the provider's error code and type, `param` the field it objects to; see `word` and `path`.

    `http_status` differs from `status` where an error came as an event inside an answer with status 200.
    """

    status: int
    http_status: int | None
    words: tuple[str, ...] = ()
    param: str | None = None
    without_credit: bool = False
    retry_after_ms: int | None = None
    provider_request_id: str | None = None


def words(*values: object) -> tuple[str, ...]:
    """Those of a provider's codes that can be shown; duplicates once."""
    return tuple(dict.fromkeys(value for value in values if isinstance(value, str) and _WORD.fullmatch(value)))


def path(value: object) -> str | None:
    """The name of a field, such as `messages[0].content`, if it looks like one."""
    return value if isinstance(value, str) and _PATH.fullmatch(value) else None


def status_of_event(*values: object) -> int:
    """The HTTP status an error inside a stream would have had: some gateways write the number in place of a code."""
    for value in values:
        if isinstance(value, str) and value in _STATUS_OF_EVENT:
            return _STATUS_OF_EVENT[value]
        if isinstance(value, str) and re.fullmatch(r"[45]\d\d", value):
            return int(value)
    return 500


@dataclass(frozen=True, slots=True)
class _Ruling:
    kind: type[ProviderError]
    error_class: ErrorClass
    reason: str


_NO_CREDIT = _Ruling(Misconfigured, "permission", "the account has no credit or quota left; add some")
_BLOCKED = _Ruling(Unacceptable, "content_filtered", "its content filter refuses the question; reword it")
_NO_MODEL = _Ruling(
    Misconfigured, "not_found", "it knows no such model or address; check the deployment's `models` and `base_url`"
)
_MOVED = _Ruling(
    Misconfigured, "not_found", "it points to another address and redirects are not followed; correct `base_url`"
)
_FAULTY = _Ruling(Unacceptable, "bad_request", "it refuses the question as it is; correct it and send it again")
_TRY_AGAIN = _Ruling(TurnedAway, "server_error", "it could not take the question just then; try again")
_OVERLOADED = _Ruling(TurnedAway, "overloaded", "it is overloaded; wait")
# Both providers document that a request they fail with 5xx is not charged, so those are free to repeat. A gateway
# that gave up waiting (504, 524, and 499 of some proxies) is another matter: behind it the model may go on to the
# end, and the provider may bill it.
_GAVE_UP = _Ruling(Lost, "timeout", "a gateway gave up waiting for the model; try again")
_FAILED = _Ruling(TurnedAway, "server_error", "it failed; try again")

_BY_STATUS = {
    401: _Ruling(Misconfigured, "authentication", "it does not accept the key; check `key_ref`"),
    402: _NO_CREDIT,
    403: _Ruling(Misconfigured, "permission", "the key may not do this; check its permissions"),
    404: _NO_MODEL,
    408: _TRY_AGAIN,
    409: _TRY_AGAIN,
    425: _TRY_AGAIN,
    429: _Ruling(TurnedAway, "rate_limited", "the account's rate limit is reached; wait"),
    499: _GAVE_UP,
    503: _OVERLOADED,
    504: _GAVE_UP,
    524: _GAVE_UP,
    529: _OVERLOADED,
}
_BY_HUNDRED = {3: _MOVED, 4: _FAULTY}


def verdict(refusal: Refusal) -> ProviderError:
    """Total: a status nobody has heard of counts as a failure of the provider."""
    ruling = _ruling(refusal)
    facts = ["in its answer" if refusal.http_status is None else f"HTTP {refusal.http_status}", *refusal.words]
    if refusal.param is not None:
        facts.append(f"field {refusal.param}")
    return ruling.kind(
        ruling.error_class,
        f"The provider refused ({', '.join(facts)}): {ruling.reason}.",
        http_status=refusal.http_status,
        retry_after_ms=refusal.retry_after_ms,
        provider_request_id=refusal.provider_request_id,
    )


def _ruling(refusal: Refusal) -> _Ruling:
    """The provider's words are finer than its status: 429 is also what an empty account gets."""
    said = frozenset(refusal.words)
    if refusal.without_credit or said & _WITHOUT_CREDIT:
        return _NO_CREDIT
    if said & _FILTERED:
        return _BLOCKED
    if said & _UNKNOWN_MODEL:
        return _NO_MODEL
    return _BY_STATUS.get(refusal.status) or _BY_HUNDRED.get(refusal.status // 100, _FAILED)
