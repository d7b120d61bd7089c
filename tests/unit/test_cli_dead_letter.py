"""A dead letter as its headers describe it."""

from hypothesis import given
from hypothesis import strategies as st

from scripts.cli.dead_letter import DeadLetter, dead_letter, shown_headers
from streams.runtime.deadletter import dead_letter_headers
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import DeadLetter as Verdict

CAUSE = Delivery("llm.requests", 4, 91, b"acme", b"{}", (("authorization", b"Bearer k"), ("x", b"1")), 1_000)


def buried(headers: tuple[tuple[str, bytes | None], ...]) -> Delivery:
    return Delivery("llm.dlq", 3, 17, b"acme", b"{}", headers, 2_000)


def test_what_a_stage_writes_is_read_back_whole() -> None:
    headers = dead_letter_headers(CAUSE, "validate", Verdict("no_request_id", "nobody to answer"), 1_500)
    assert dead_letter(buried(tuple(headers))) == DeadLetter(
        partition=3,
        offset=17,
        at="1970-01-01T00:00:01.500+00:00",
        stage="validate",
        reason="no_request_id",
        detail="nobody to answer",
        origin_topic="llm.requests",
        origin_partition=4,
        origin_offset=91,
        is_told=False,
        is_whole=True,
        size=2,
    )


def test_a_credential_that_somebody_wrote_past_the_stages_is_not_shown() -> None:
    assert shown_headers(buried((("Authorization", b"Bearer canary"), ("x", b"1")))) == [("x", "1")]


@given(st.lists(st.tuples(st.sampled_from(("millrace-offset", "millrace-stage", "x")), st.none() | st.binary())))
def test_whatever_the_headers_hold_the_letter_can_be_listed(headers: list[tuple[str, bytes | None]]) -> None:
    letter = dead_letter(buried(tuple(headers)))
    assert letter.place == "3/17"
    assert letter.origin_offset is None or isinstance(letter.origin_offset, int)
