"""The bench's provider: requests out of whatever pieces arrive, and answers of the length and in the time asked for."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.bench.provider.pace import FIXED_TOKENS, Pace, reply
from scripts.bench.provider.wire import LARGEST_HEAD_BYTES, Asked, NotSpoken, Reader, answer

BODY = b'{"model":"gpt-4o-mini","max_tokens":3,"messages":[{"role":"user","content":"one two three"}]}'


def post(body: bytes, name: bytes = b"content-length") -> bytes:
    return b"POST /v1/chat/completions HTTP/1.1\r\nhost: here\r\n%s: %d\r\naccept: */*\r\n\r\n%s" % (
        name,
        len(body),
        body,
    )


def read(*pieces: bytes) -> list[Asked]:
    reader = Reader()
    return [asked for piece in pieces for asked in reader.feed(piece)]


@given(bodies=st.lists(st.binary(max_size=40), min_size=1, max_size=4), cut=st.lists(st.integers(0, 600), max_size=6))
def test_requests_are_read_however_the_bytes_are_cut(bodies: list[bytes], cut: list[int]) -> None:
    whole = b"".join(map(post, bodies))
    at = [0, *sorted(min(each, len(whole)) for each in cut), len(whole)]
    found = read(*(whole[begin:end] for begin, end in pairwise(at)))
    assert found == [Asked(b"POST", b"/v1/chat/completions", body) for body in bodies]


@pytest.mark.parametrize("name", [b"Content-Length", b"content-length", b"CONTENT-LENGTH"])
def test_the_length_is_found_however_it_is_spelt(name: bytes) -> None:
    assert read(post(BODY, name))[0].body == BODY


def test_a_request_without_a_body_needs_no_length() -> None:
    assert read(b"GET /stats HTTP/1.1\r\nhost: here\r\n\r\n") == [Asked(b"GET", b"/stats", b"")]


def test_a_length_in_the_body_is_not_taken_for_the_heads() -> None:
    with pytest.raises(NotSpoken, match="content-length"):
        read(b"POST / HTTP/1.1\r\nhost: here\r\n\r\n\r\ncontent-length: 5\r\n\r\n")


@pytest.mark.parametrize("bytes_", [b"nonsense\r\n\r\n", b"GET / SMTP\r\n\r\n", b"x" * (LARGEST_HEAD_BYTES + 1)])
def test_what_is_no_http_is_refused(bytes_: bytes) -> None:
    with pytest.raises(NotSpoken):
        read(bytes_)


def test_an_answer_says_how_long_it_is() -> None:
    head, _, body = answer(b'{"a":1}').partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"content-length: 7" in head
    assert body == b'{"a":1}'


def test_without_a_token_rate_every_answer_is_alike_and_takes_the_latency() -> None:
    said = reply(Pace(latency_ms=200), BODY)
    assert said == reply(Pace(latency_ms=200), b"{}")
    assert said.after_s == pytest.approx(0.2)
    assert json.loads(said.body)["usage"]["completion_tokens"] == FIXED_TOKENS


def test_with_a_token_rate_an_answer_is_as_long_as_asked_for_and_takes_its_time() -> None:
    pace = Pace(latency_ms=100, prefill_tokens_per_s=20, decode_tokens_per_s=10)
    said = reply(pace, BODY)
    completion = json.loads(said.body)
    assert completion["choices"][0]["message"]["content"].split() == ["grain"] * 3
    assert completion["usage"]["completion_tokens"] == 3
    assert completion["usage"]["prompt_tokens"] == BODY.count(b" ") == 2
    assert said.after_s == pytest.approx(0.1 + 2 / 20 + 3 / 10)
    assert said.after_s == pytest.approx(pace.seconds(2, 3))


def test_newer_models_name_the_limit_otherwise() -> None:
    said = reply(Pace(decode_tokens_per_s=10), b'{"max_completion_tokens": 7}')
    assert json.loads(said.body)["usage"]["completion_tokens"] == 7
