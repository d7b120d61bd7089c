"""What each HTTP status means for us, and what of the provider's words may be shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.providers.protocol import Lost, Misconfigured, ProviderError, TurnedAway, Unacceptable
from streams.providers.refusal import Refusal, path, status_of_event, verdict, words


@pytest.mark.parametrize(
    ("status", "kind", "error_class"),
    [
        (301, Misconfigured, "not_found"),
        (400, Unacceptable, "bad_request"),
        (401, Misconfigured, "authentication"),
        (402, Misconfigured, "permission"),
        (403, Misconfigured, "permission"),
        (404, Misconfigured, "not_found"),
        (408, TurnedAway, "server_error"),
        (409, TurnedAway, "server_error"),
        (413, Unacceptable, "bad_request"),
        (422, Unacceptable, "bad_request"),
        (429, TurnedAway, "rate_limited"),
        (500, TurnedAway, "server_error"),
        (502, TurnedAway, "server_error"),
        (503, TurnedAway, "overloaded"),
        (504, Lost, "timeout"),
        (524, Lost, "timeout"),
        (529, TurnedAway, "overloaded"),
        (599, TurnedAway, "server_error"),
    ],
)
def test_every_status_has_its_consequence(status: int, kind: type[ProviderError], error_class: str) -> None:
    got = verdict(Refusal(status, http_status=status))

    assert type(got) is kind
    assert got.error_class == error_class
    assert got.http_status == status


@pytest.mark.parametrize("status", [400, 429])
@pytest.mark.parametrize("word", ["insufficient_quota", "billing_error", "enforced_spend_limit_reached"])
def test_waiting_does_not_fill_an_empty_account(status: int, word: str) -> None:
    assert isinstance(verdict(Refusal(status, http_status=status, words=(word,))), Misconfigured)


def test_a_content_filter_refuses_the_question_and_not_the_deployment() -> None:
    got = verdict(Refusal(400, http_status=400, words=("content_filter",)))

    assert isinstance(got, Unacceptable)
    assert got.error_class == "content_filtered"


def test_a_model_unknown_here_may_be_known_elsewhere_whatever_the_status() -> None:
    assert verdict(Refusal(400, http_status=400, words=("model_not_found",))).elsewhere


def test_the_message_has_the_facts_and_what_to_do() -> None:
    got = verdict(Refusal(400, http_status=400, words=("context_length_exceeded",), param="messages[3].content"))

    assert got.message == (
        "The provider refused (HTTP 400, context_length_exceeded, field messages[3].content): "
        "it refuses the question as it is; correct it and send it again."
    )


@pytest.mark.parametrize(
    "value",
    [
        "sk-proj-abcdef",
        "sk-abcdefabcdef",
        "AIzaSyD0123456789",
        "a3f9c2e1d4b5a6978812",
        "Incorrect API key provided",
        "the recipe is thyme",
        "https://api.example.com",
        "x" * 200,
        "",
        7,
        None,
        {"message": "thyme"},
    ],
)
def test_nothing_that_may_be_a_key_or_a_sentence_is_shown(value: object) -> None:
    assert words(value) == ()
    assert path(value) is None or path(value) == value == ""


@pytest.mark.parametrize("value", ["invalid_request_error", "unsupported_value", "ephemeral_5", "content_filter"])
def test_error_codes_are_shown_once(value: str) -> None:
    assert words(value, None, value) == (value,)


@pytest.mark.parametrize("value", ["messages", "messages[0].content", "tools.0.custom.input_schema"])
def test_field_names_are_shown(value: str) -> None:
    assert path(value) == value


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "Zs"]), min_size=1))
def test_what_is_shown_has_no_blank_and_no_capital(value: str) -> None:
    for shown in (*words(value), path(value) or ""):
        assert not any(letter.isspace() or letter.isupper() for letter in shown)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (("overloaded_error",), 529),
        (("rate_limit_error",), 429),
        (("invalid_request_error",), 400),
        (("timeout_error",), 504),
        ((None, "server_error"), 500),
        (("502",), 502),
        (("200",), 500),
        ((None, 503), 500),
    ],
)
def test_an_error_inside_a_stream_counts_as_the_status_it_would_have_had(said: tuple[object, ...], status: int) -> None:
    assert status_of_event(*said) == status
