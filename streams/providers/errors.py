"""Every exception of the two SDKs, and of what they stand on, as one of ours: most specific first, nothing quoted."""

from typing import cast

import anthropic
import httpx2
import openai

from schemas.base import JsonObject
from streams.providers.protocol import Lost, ProviderError
from streams.providers.refusal import Refusal, path, status_of_event, verdict, words
from streams.providers.retry_after import retry_after_ms
from streams.providers.transport import transport_error

_POOR = "credit balance"
"""Anthropic says this in a plain 400, with no code. Read, never shown: a prompt that has it merely goes elsewhere."""


def openai_refusal(response: httpx2.Response, said: object) -> openai.APIStatusError:
    """As the SDK raises it: with the body's `error`."""
    body = cast("dict[str, object]", said).get("error", cast("object", said)) if isinstance(said, dict) else said
    return openai.APIStatusError("refused", response=response, body=body)


def anthropic_refusal(response: httpx2.Response, said: object) -> anthropic.APIStatusError:
    """As the SDK raises it: with the whole body."""
    return anthropic.APIStatusError("refused", response=response, body=said)


def openai_error(error: Exception, now_ms: int) -> ProviderError:
    match error:
        case ProviderError():
            return error
        case openai.APIStatusError():
            return verdict(
                Refusal(
                    status=error.status_code,
                    http_status=error.status_code,
                    words=words(error.code, error.type),
                    param=path(error.param),
                    retry_after_ms=retry_after_ms(error.response.headers, now_ms),
                    provider_request_id=error.request_id,
                )
            )
        case openai.APIConnectionError() | openai.APIResponseValidationError():
            return transport_error(error)
        case openai.APIError():
            status = status_of_event(error.code, error.type)
            return verdict(Refusal(status, None, words(error.code, error.type), path(error.param)))
        case _:
            return transport_error(error)


def anthropic_error(error: Exception, now_ms: int) -> ProviderError:
    match error:
        case ProviderError():
            return error
        case anthropic.APIStatusError():
            inside_stream = error.response.is_success
            return verdict(
                Refusal(
                    status=status_of_event(error.type) if inside_stream else error.status_code,
                    http_status=None if inside_stream else error.status_code,
                    words=words(error.error_code, error.type),
                    without_credit=_POOR in str(error.api_message).lower(),
                    retry_after_ms=retry_after_ms(error.response.headers, now_ms),
                    provider_request_id=error.request_id,
                )
            )
        case _:
            return transport_error(error)


def interrupted(error: ProviderError, *, heard: bool, usage: JsonObject | None) -> ProviderError:
    """What an error means once the provider had begun to stream: work was done, and whatever was reported is kept.

    `heard` is whether any of the answer had arrived: an overload announced before it is still a plain no.
    """
    if not heard and not isinstance(error, Lost):
        return error
    kept = isinstance(error, Lost) and error.error_class in ("timeout", "malformed_response")
    return Lost(
        error.error_class if kept else "cut_stream",
        error.message if kept else "The provider's answer broke off before its end; try again.",
        http_status=error.http_status,
        retry_after_ms=error.retry_after_ms,
        provider_request_id=error.provider_request_id,
        usage_raw=usage,
        usage_source="none" if usage is None else "partial",
    )
