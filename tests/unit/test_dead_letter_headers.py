"""A dead letter says where it comes from and why, keeps what the sender said of it, and never a credential."""

import pytest

from schemas.headers import CREDENTIALS
from streams.runtime.deadletter import KEPT_BYTES, KEPT_HEADER_BYTES, MAX_DETAIL_CHARS, dead_letter_headers, kept
from streams.runtime.delivery import Headers
from streams.runtime.outcome import DeadLetter
from tests.unit.examples import KEY, NOW_MS, delivery

LETTER = DeadLetter("no_request_id", "nobody to answer: request_id is required: add it")


def headers(given: Headers = (), letter: DeadLetter = LETTER) -> list[tuple[str, bytes]]:
    cause = delivery(offset=41, partition=3, headers=given, timestamp_ms=NOW_MS - 7)
    return dead_letter_headers(cause, "validate", letter, NOW_MS)


def test_it_says_which_stage_gave_up_on_which_record_and_why() -> None:
    said = dict(headers())

    assert said.pop("millrace-version")
    assert said == {
        "millrace-stage": b"validate",
        "millrace-reason": b"no_request_id",
        "millrace-detail": b"nobody to answer: request_id is required: add it",
        "millrace-told": b"no",
        "millrace-topic": b"llm.requests",
        "millrace-partition": b"3",
        "millrace-offset": b"41",
        "millrace-timestamp-ms": str(NOW_MS - 7).encode(),
        "millrace-at": b"2026-11-18T11:06:40.000+00:00",
    }


def test_what_the_sender_said_is_kept_in_order_even_twice_and_even_if_it_is_not_text() -> None:
    given: Headers = (("source", b"crm"), ("tag", b"a"), ("tag", b"\xff"), ("empty", None))

    assert headers(given)[:4] == [("source", b"crm"), ("tag", b"a"), ("tag", b"\xff"), ("empty", b"")]


@pytest.mark.parametrize("name", sorted(CREDENTIALS))
@pytest.mark.parametrize("spelt", [str.lower, str.upper, str.title, " {} ".format])
def test_no_credential_is_written_down_however_it_is_spelt(name: str, spelt: type[str]) -> None:
    written = headers(((spelt(name), f"Bearer {KEY}".encode()), ("source", b"crm")))

    assert all(KEY.encode() not in value for _, value in written)
    assert ("source", b"crm") in written


def test_a_sender_cannot_pass_off_its_own_words_as_ours() -> None:
    """The last header of a name counts, and ours come last."""
    said = dict(headers((("millrace-reason", b"all is well"), ("millrace-stage", b"sink"))))

    assert (said["millrace-reason"], said["millrace-stage"]) == (b"no_request_id", b"validate")


def test_a_long_explanation_is_cut() -> None:
    said = dict(headers(letter=DeadLetter("decision_failed", "ü" * 10 * MAX_DETAIL_CHARS)))

    assert said["millrace-detail"].decode() == "ü" * MAX_DETAIL_CHARS


def test_a_record_that_unpacks_to_more_than_a_dead_letter_holds_is_kept_without_its_value_and_says_so() -> None:
    bomb = delivery(b"a" * (KEPT_BYTES + 1), key=b"acme", headers=(("source", b"crm"),))

    said = dict(dead_letter_headers(bomb, "validate", LETTER, NOW_MS))

    assert (kept(bomb).value, kept(bomb).key) == (None, b"acme")
    assert (said["millrace-value-omitted-bytes"], said["source"]) == (str(KEPT_BYTES + 1).encode(), b"crm")


def test_headers_and_keys_of_megabytes_do_not_keep_the_value_from_being_kept() -> None:
    huge = b"a" * (KEPT_HEADER_BYTES + 1)
    record = delivery(b"{}", key=huge, headers=(("source", huge),))

    said = dict(dead_letter_headers(record, "validate", LETTER, NOW_MS))

    assert (kept(record).value, kept(record).key, kept(record).headers) == (b"{}", None, ())
    assert said["millrace-key-omitted-bytes"] == str(len(huge)).encode()
    assert said["millrace-headers-omitted-bytes"] == str(len(huge) + len("source")).encode()
    assert "source" not in said
    assert "millrace-value-omitted-bytes" not in said
