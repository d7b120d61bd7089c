"""Whether a question that met a broken connection had left."""

import json
from collections.abc import Callable

import anthropic
import httpx2
import openai
import pytest
from pydantic import BaseModel, ValidationError

from streams.providers.errors import anthropic_error, interrupted, openai_error
from streams.providers.protocol import Lost, NotSent, ProviderError, TurnedAway
from streams.providers.transport import transport_error

REQUEST = httpx2.Request("POST", "https://user:thyme@api.example.com/v1")


def caused(error: Exception, *causes: Exception) -> Exception:
    """As the SDKs raise it: each from the next."""
    current = error
    for cause in causes:
        current.__cause__ = cause
        current = cause
    return error


def connection_error(error: Exception) -> list[Exception]:
    """The same failure inside either SDK's own error."""
    return [
        caused(openai.APIConnectionError(request=REQUEST), error),
        caused(anthropic.APIConnectionError(request=REQUEST), error),
    ]


@pytest.mark.parametrize(
    "error",
    [
        httpx2.ConnectError("thyme"),
        httpx2.ConnectTimeout("thyme"),
        httpx2.PoolTimeout("thyme"),
        httpx2.ProxyError("thyme"),
        httpx2.UnsupportedProtocol("thyme"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_never_connected_was_never_sent(error: Exception) -> None:
    for wrapped in (error, *connection_error(error)):
        got = transport_error(wrapped)

        assert isinstance(got, NotSent)
        assert not got.ambiguous


@pytest.mark.parametrize(
    ("error", "error_class"),
    [
        (httpx2.ReadTimeout("thyme"), "timeout"),
        (httpx2.WriteTimeout("thyme"), "timeout"),
        (TimeoutError("thyme"), "timeout"),
        (httpx2.ReadError("thyme"), "connection"),
        (httpx2.RemoteProtocolError("thyme"), "connection"),
        (ConnectionResetError(104, "thyme"), "connection"),
        (RuntimeError("thyme"), "connection"),
        (json.JSONDecodeError("thyme", "thyme", 0), "malformed_response"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "thyme"), "malformed_response"),
        (httpx2.DecodingError("thyme"), "malformed_response"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_everything_else_may_have_been_billed(error: Exception, error_class: str) -> None:
    for wrapped in (error, *connection_error(error)):
        got = transport_error(wrapped)

        assert isinstance(got, Lost)
        assert got.error_class == error_class
        assert got.ambiguous
        assert "thyme" not in got.message


def test_a_circle_of_causes_ends() -> None:
    first, second = ValueError("thyme"), KeyError("thyme")
    first.__cause__, second.__cause__ = second, first

    assert isinstance(transport_error(first), Lost)


@pytest.mark.parametrize("to_error", [openai_error, anthropic_error])
def test_an_answer_of_another_shape_is_malformed_and_not_quoted(
    to_error: Callable[[Exception, int], ProviderError],
) -> None:
    class Shape(BaseModel):
        number: int

    with pytest.raises(ValidationError) as caught:
        Shape.model_validate({"number": "thyme"})
    got = to_error(caught.value, 0)

    assert got.error_class == "malformed_response"
    assert "thyme" not in str(got)


@pytest.mark.parametrize("to_error", [openai_error, anthropic_error])
def test_an_error_of_ours_stays_what_it_is(to_error: Callable[[Exception, int], ProviderError]) -> None:
    error = Lost("cut_stream", "cut")

    assert to_error(error, 0) is error


def test_a_stream_that_times_out_says_so_and_keeps_its_usage() -> None:
    got = interrupted(Lost("timeout", "late"), heard=True, usage={"input_tokens": 9})

    assert (got.error_class, got.usage_raw, got.usage_source) == ("timeout", {"input_tokens": 9}, "partial")


def test_a_refusal_before_the_first_word_stays_a_refusal() -> None:
    refusal = TurnedAway("overloaded", "later")

    assert interrupted(refusal, heard=False, usage=None) is refusal
