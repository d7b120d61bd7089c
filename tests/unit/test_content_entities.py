"""What is found in a text, and what only looks like it."""

import time
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.content import Entity
from streams.content.entities import MOST_SPANS, SECRETS, TooManyError, spans

ALL: tuple[Entity, ...] = get_args(Entity)


def found(text: str, *entities: Entity) -> list[tuple[str, str]]:
    data = text.encode()
    return [(each.entity, data[each.start : each.end].decode()) for each in spans(data, entities or ALL)]


@pytest.mark.parametrize(
    ("entity", "value"),
    [
        ("email", "ada.lovelace+notes@analytical-engine.co.uk"),
        ("email", "jörg@müller.de"),
        ("email", "o'brien@example.org"),
        ("phone", "+49 30 1234567"),
        ("phone", "+1 555 010 9999"),
        ("phone", "(212) 555-0147"),
        ("phone", "212-555-0147"),
        ("phone", "030/1234567"),
        ("phone", "0171 2345678"),
        ("iban", "DE89 3704 0044 0532 0130 00"),
        ("iban", "GB29NWBK60161331926819"),
        ("credit_card", "4111 1111 1111 1111"),
        ("credit_card", "5555555555554444"),
        ("credit_card", "3782-822463-10005"),
        ("ssn", "536-90-4399"),
        ("ip_address", "203.0.113.77"),
        ("ip_address", "2001:db8::8a2e:370:7334"),
    ],
)
@pytest.mark.parametrize(
    "around", ["{}", "It is {}.", "({}),", "_{}_", "{} 0A", "“{}”", "请用{}。", "a: {}\nb", "<{}>"]
)
def test_it_is_found_whatever_stands_around_it(entity: Entity, value: str, around: str) -> None:
    if entity == "email":
        around = around.replace("_", "*")  # which may well be part of one
    assert found(around.format(value)) == [(entity, value)]


@pytest.mark.parametrize(
    "text",
    [
        "call me at 12:30:45 on 2026-11-28, order 12-34-5678",
        "4111 1111 1111 1112",  # does not add up
        "0000 0000 0000 0000",
        "AA00 1111 2222 3333 4444",
        "std::vector<int> a::b",
        "a@b, @handle, x @ y.org",
        "1795000000000 and 20261128103300",
        "000-12-3456",
        "version 1.2.3",
        "task-sk-list, desk-top-publishing-software-for-everybody"[:24],
        "eyJhbGciOi alone",
        "10 20 30 40 50 60 70 80",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert found(text) == []


EXAMPLES = {
    "private key": "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,X\nMIIEpAIBAAKC+/=\n-----END RSA PRIVATE KEY-----",
    "JSON web token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    "OpenAI or Anthropic": "sk-ant-api03-" + "a1B2" * 6,
    "AWS": "AKIAIOSFODNN7EXAMPLE",
    "GitHub": "ghp_" + "a1B2" * 9,
    "GitLab": "glpat-" + "a1B2" * 5,
    "Google": "AIza" + "a1B2c" * 7,
    "Slack": "xoxb-1234567890-abcdef",
    "Stripe": "sk_live_" + "a1B2" * 6,
    "Hugging Face": "hf_" + "aBcD" * 8,
    "npm": "npm_" + "a1B2" * 9,
    "PyPI": "pypi-" + "a1B2" * 14,
    "SendGrid": "SG." + "a1B2" * 5 + "." + "a1B2" * 8,
    "Azure storage": "AccountKey=" + "a1B2" * 20 + "==",
    "bearer": "Bearer " + "a1B2" * 6,
    "address with a password": "postgres://ada:hunter2@",
}


@pytest.mark.parametrize("whose", SECRETS)
def test_a_secret_is_found_by_how_its_issuer_begins_it(whose: str) -> None:
    assert found(f"use {EXAMPLES[whose]}, please") == [("secret", EXAMPLES[whose])]


def test_a_key_that_breaks_off_is_taken_out_as_far_as_it_goes() -> None:
    ((_, value),) = found("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ")
    assert value.endswith("w0BAQ")


def test_an_account_number_that_does_not_add_up_is_none() -> None:
    assert found("DE89 3704 0044 0532 0130 01", "iban") == []


def test_of_two_telephone_numbers_in_a_row_nothing_is_left() -> None:
    assert found("030 1234567 212-555-0147") == [("phone", "030 1234567"), ("phone", "212-555-0147")]
    assert found("+49 30 1234567 (212) 555-0147") == [("phone", "+49 30 1234567"), ("phone", "(212) 555-0147")]
    assert found("+49 30 1234567 212-555-0147") == [("phone", "+49 30 1234567 212-555-0147")]


def test_a_card_behind_another_number_is_found() -> None:
    assert found("1234 4111 1111 1111 1111") == [("credit_card", "4111 1111 1111 1111")]


def test_what_overlaps_is_one_of_the_kind_that_weighs_more() -> None:
    assert found("https://ada:hunter2@example.org/x") == [("secret", "https://ada:hunter2@example.org")]
    assert found("https://ada:hunter2@example.org/x", "email") == [("email", "hunter2@example.org")]


def test_only_what_is_asked_for_is_found() -> None:
    assert found("ada@x.org +49 30 1234567", "phone") == [("phone", "+49 30 1234567")]


def test_more_than_anybody_would_ask_about_is_refused() -> None:
    with pytest.raises(TooManyError):
        spans(b"a@b.cc " * (MOST_SPANS + 1), ("email",))


@given(st.text(alphabet=st.sampled_from("aZ09 .-+@:/()[]_éß请\n" + "DE89sk-eyJ"), max_size=200))
def test_spans_are_in_order_apart_and_whole_characters(text: str) -> None:
    data, at = text.encode(), 0
    for span in spans(data, ALL):
        assert at <= span.start < span.end <= len(data)
        data[span.start : span.end].decode()
        at = span.end


@pytest.mark.parametrize(
    "piece",
    [
        "1",
        "1234 ",
        "!",
        "DE89 ",
        "a@b.",
        "1:",
        "999.999.999.999 ",
        "+1 ",
        "sk-",
        "xsk-",
        "xglpat-",
        "xxoxb-",
        "eyJ",
        "http://a:",
        "0123 456 ",
    ],
)
def test_a_text_of_nothing_but_candidates_takes_a_time_in_proportion_to_its_length(piece: str) -> None:
    def took_s(length: int) -> float:
        data = (piece * length)[:length].encode()
        since_s = time.process_time()
        spans(data, ALL)
        return time.process_time() - since_s

    took_s(1_000)
    assert took_s(64_000) < 64 * max(took_s(8_000), 0.002)
