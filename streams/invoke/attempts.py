"""What an attempt has come to when its call has ended."""

from msgspec.structs import replace

from schemas.attempt import Attempt
from schemas.usage import Usage
from streams.cost.guess import usage_of_answer, usage_so_far
from streams.providers.protocol import ProviderError, Reply


def has_run_out(error: ProviderError) -> bool:
    """Whether our time was over, and not that of a gateway, which says so."""
    return error.cut_short or (error.error_class == "timeout" and error.http_status is None)


def failed(started: Attempt, error: ProviderError, now_ms: int) -> Attempt:
    return replace(
        started,
        ended_at_ms=now_ms,
        provider_request_id=error.provider_request_id,
        usage_raw=error.usage_raw,
        usage_source=error.usage_source,
        estimated_usage=_estimate(started, error),
        answering=error.answering,
        error_class=error.error_class,
        error_message=error.message,
        http_status=error.http_status,
        retryable=error.retryable,
        ambiguous=error.ambiguous,
        retry_after_ms=error.retry_after_ms,
    )


def _estimate(started: Attempt, error: ProviderError) -> Usage | None:
    """What a lost call used, if it was billed; None of one that cannot have been."""
    expected = started.estimated_usage
    if expected is None or not error.ambiguous:
        return None
    return usage_so_far(expected, started.provider, error.usage_raw, error.heard_tokens)


def answered(started: Attempt, reply: Reply, now_ms: int) -> Attempt:
    first_ms = reply.first_token_ms
    expected = started.estimated_usage or Usage()
    return replace(
        started,
        ended_at_ms=now_ms,
        first_token_at_ms=None if first_ms is None else started.started_at_ms + first_ms,
        model_reported=reply.model_reported,
        provider_request_id=reply.provider_request_id,
        service_tier=reply.service_tier,
        finish_reason=reply.finish_reason,
        usage_raw=reply.usage_raw,
        usage_source=reply.usage_source,
        estimated_usage=usage_of_answer(expected, started.provider, reply.usage_raw, reply.output),
        http_status=200,
    )
