"""The SDKs' own exceptions, with what the providers put into them."""

from collections.abc import Mapping

import anthropic
import httpx2
import openai
import pytest

from streams.providers.errors import anthropic_error, openai_error
from streams.providers.protocol import Misconfigured, TurnedAway, Unacceptable

NOW_MS = 1_795_219_200_000


def response(status: int, headers: Mapping[str, str] | None) -> httpx2.Response:
    request = httpx2.Request("POST", "https://api.example.com/v1")
    return httpx2.Response(status, headers=dict(headers or {}), request=request)


def openai_refusal(status: int, error: object, headers: Mapping[str, str] | None = None) -> openai.APIStatusError:
    """As the SDK raises it: with the body's `error`."""
    return openai.APIStatusError(f"Error: {error}", response=response(status, headers), body=error)


def anthropic_refusal(status: int, error: object, headers: Mapping[str, str] | None = None) -> anthropic.APIStatusError:
    """As the SDK raises it: with the whole body."""
    body = {"type": "error", "error": error}
    return anthropic.APIStatusError(f"Error: {error}", response=response(status, headers), body=body)


def test_openais_refusal_is_told_by_its_code_and_field() -> None:
    error = {
        "message": "This model's maximum context length is 8192 tokens: thyme",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "context_length_exceeded",
    }

    got = openai_error(openai_refusal(400, error, {"x-request-id": "req_1"}), NOW_MS)

    assert isinstance(got, Unacceptable)
    assert "context_length_exceeded" in got.message
    assert "field messages" in got.message
    assert "thyme" not in got.message
    assert got.provider_request_id == "req_1"


def test_openais_rate_limit_carries_its_wait() -> None:
    got = openai_error(openai_refusal(429, {"type": "requests"}, {"retry-after-ms": "350"}), NOW_MS)

    assert isinstance(got, TurnedAway)
    assert got.retry_after_ms == 350


def test_openais_empty_account_is_no_rate_limit() -> None:
    error = {"type": "insufficient_quota", "code": "insufficient_quota", "message": "You exceeded …"}

    assert isinstance(openai_error(openai_refusal(429, error), NOW_MS), Misconfigured)


@pytest.mark.parametrize("error", ["thyme", None, [1], {"code": {"a": 1}, "param": ["thyme"], "type": 5}])
def test_an_error_body_of_any_shape_is_survived(error: object) -> None:
    got = openai_error(openai_refusal(400, error), NOW_MS)

    assert isinstance(got, Unacceptable)
    assert "thyme" not in got.message


def test_anthropics_refusal_is_told_by_its_type() -> None:
    error = {"type": "invalid_request_error", "message": "messages.0: thyme"}

    got = anthropic_error(anthropic_refusal(400, error, {"request-id": "req_2"}), NOW_MS)

    assert isinstance(got, Unacceptable)
    assert "invalid_request_error" in got.message
    assert "thyme" not in got.message
    assert got.provider_request_id == "req_2"


def test_anthropics_overload_is_no_failure_of_ours() -> None:
    got = anthropic_error(anthropic_refusal(529, {"type": "overloaded_error", "message": "Overloaded"}), NOW_MS)

    assert isinstance(got, TurnedAway)
    assert got.error_class == "overloaded"


def test_anthropic_says_in_words_only_that_an_account_is_empty() -> None:
    error = {"type": "invalid_request_error", "message": "Your credit balance is too low to access the Anthropic API."}

    got = anthropic_error(anthropic_refusal(400, error), NOW_MS)

    assert isinstance(got, Misconfigured)
    assert got.error_class == "permission"


def test_an_error_event_in_a_stream_has_no_status_of_its_own() -> None:
    error = {"type": "rate_limit_error", "message": "thyme"}

    got = anthropic_error(anthropic_refusal(200, error), NOW_MS)

    assert isinstance(got, TurnedAway)
    assert (got.error_class, got.http_status) == ("rate_limited", None)
