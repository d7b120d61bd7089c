from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from schemas.headers import (
    HeaderValue,
    Incoming,
    MalformedCredentials,
    credentials,
    incoming,
    outgoing,
    parse_trace_parent,
    without_credentials,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NOTHING_SAID = Incoming(None, None, None, None, None, None, None)
CANARY = "canary-key-9913"

header_values = st.none() | st.binary(max_size=80) | st.text(max_size=80)
known_names = st.sampled_from(
    ["ce_id", "ce_type", "ce_source", "ce_time", "CE_TIME", "traceparent", "authorization", "Authorization", "cookie"]
)
header_lists = st.lists(st.tuples(known_names | st.text(max_size=20), header_values), max_size=8)


def test_a_record_of_ours_carries_cloudevents_in_binary_mode() -> None:
    headers = outgoing("millrace.responses.v1", "llm.completions/3/17/0", "millrace/postprocess", 1795219200042, None)
    assert dict(headers) == {
        "ce_id": b"llm.completions/3/17/0",
        "ce_type": b"millrace.responses.v1",
        "ce_source": b"millrace/postprocess",
        "ce_specversion": b"1.0",
        "ce_time": b"2026-11-21T00:00:00.042Z",
        "content-type": b"application/json",
    }


def test_a_trace_goes_along_when_there_is_one() -> None:
    assert outgoing("t", "i", "s", 0, f"00-{TRACE}")[-1] == ("traceparent", f"00-{TRACE}".encode())


@given(st.integers(min_value=0, max_value=253_402_300_799_999))
def test_the_time_that_is_sent_is_the_time_that_is_read(time_ms: int) -> None:
    headers = outgoing("t", "i", "s", time_ms, None)
    assert incoming(headers).time_ms == time_ms
    sent = datetime.fromisoformat(dict(headers)["ce_time"].decode())
    assert sent.astimezone(UTC).timestamp() * 1000 == pytest.approx(time_ms)


@given(st.text(), st.text(), st.text())
def test_what_one_stage_sends_the_next_one_reads(event_id: str, event_type: str, source: str) -> None:
    read = incoming(outgoing(event_type, event_id, source, 7, f"00-{TRACE}"))
    assert read == Incoming(event_id, event_type, source, "1.0", 7, "application/json", f"00-{TRACE}")


@pytest.mark.parametrize("headers", [None, [], (), [("other", b"x")]])
def test_a_record_without_headers_says_nothing(headers: list[tuple[str, bytes]] | None) -> None:
    assert incoming(headers) == NOTHING_SAID
    assert credentials(headers) is None


@pytest.mark.parametrize("value", [None, b"\xff\xfe"])
def test_an_attribute_that_cannot_be_read_is_as_good_as_absent(value: bytes | None) -> None:
    names = ["ce_id", "ce_type", "ce_source", "ce_specversion", "ce_time", "content-type", "traceparent"]
    assert incoming([(name, value) for name in names]) == NOTHING_SAID


def test_of_an_attribute_given_twice_the_last_counts() -> None:
    assert incoming([("ce_id", b"first"), ("CE_ID", "last")]).event_id == "last"


@pytest.mark.parametrize(
    ("text", "time_ms"),
    [
        ("1970-01-01T01:00:00.5+01:00", 500),
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01T00:00:01", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_time_counts_only_with_its_zone(text: str, time_ms: int | None) -> None:
    assert incoming([("ce_time", text.encode())]).time_ms == time_ms


@pytest.mark.parametrize(
    "invalid",
    [
        "",
        f"ff-{TRACE}",
        f"00-{TRACE}-more",
        f"00-{TRACE.upper()}",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
        f"00-{TRACE}\n",
        f" 00-{TRACE}",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
    ],
)
def test_an_invalid_trace_parent_is_dropped(invalid: str) -> None:
    assert parse_trace_parent(invalid) is None


@pytest.mark.parametrize("version", ["00", "01", "fe"])
def test_a_trace_parent_of_a_later_version_is_passed_on_in_ours(version: str) -> None:
    assert parse_trace_parent(f"{version}-{TRACE}") == f"00-{TRACE}"


def test_what_a_later_version_adds_to_a_trace_parent_is_not_passed_on() -> None:
    assert parse_trace_parent(f"01-{TRACE}-extra") == f"00-{TRACE}"


@pytest.mark.parametrize("header", [b"Bearer k3y.~+/=", "bearer k3y.~+/=", b"BEARER   k3y.~+/=", b" Bearer k3y.~+/= "])
def test_a_bearer_key_is_taken_whatever_the_case_of_its_scheme(header: HeaderValue) -> None:
    key = credentials([("Authorization", header)])
    assert isinstance(key, SecretStr)
    assert key.get_secret_value() == "k3y.~+/="


@pytest.mark.parametrize(
    "header",
    [None, b"", b"Bearer", b"Bearer ", CANARY.encode(), f"Basic {CANARY}", f"Bearer {CANARY} twice", b"Bearer k\xffy"],
)
def test_a_key_that_was_meant_but_cannot_be_read_is_not_an_absent_one(header: HeaderValue) -> None:
    found = credentials([("authorization", header)])
    assert isinstance(found, MalformedCredentials)
    assert "Bearer <key>" in found.problem
    assert CANARY not in found.problem


def test_two_keys_are_not_chosen_between() -> None:
    found = credentials([("authorization", f"Bearer {CANARY}"), ("Authorization", b"Bearer other")])
    assert isinstance(found, MalformedCredentials)
    assert found.problem == "the authorization header was sent more than once: send it once"


def test_a_key_does_not_show_in_logs() -> None:
    key = credentials([("authorization", f"Bearer {CANARY}")])
    assert CANARY not in repr(key)
    assert CANARY not in str(key)


def test_what_is_kept_of_headers_has_no_credentials_and_is_otherwise_untouched() -> None:
    headers = [
        ("ce_id", b"\xff"),
        ("Authorization", CANARY.encode()),
        ("X-Api-Key", CANARY.encode()),
        ("cookie", CANARY.encode()),
        ("empty", None),
        ("ce_id", b"again"),
    ]
    assert without_credentials(headers) == [("ce_id", b"\xff"), ("empty", None), ("ce_id", b"again")]
    assert without_credentials(None) == []


@given(header_lists)
def test_no_headers_whatsoever_raise(headers: list[tuple[str, HeaderValue]]) -> None:
    incoming(headers)
    credentials(headers)
    kept = without_credentials(headers)
    assert credentials(kept) is None
    assert kept == [header for header in headers if header in kept]
