"""What fuzzing found, as what must be true instead."""

import time

import pytest
from pydantic import ValidationError

from schemas.request import Request
from schemas.response import Response
from schemas.topics import CALLS, RESPONSES
from scripts.cli.since import clock
from sinks.native import native_block
from streams.stages import postprocess
from streams.state.given_responses import GivenResponses
from tests.fuzz.findings import FINDINGS
from tests.fuzz.registry import TARGETS
from tests.unit.examples import attempt, call_rows, completion, forwarded, on, request_json, view

FOUR_MEGABYTES = 4 * 1024 * 1024


@pytest.mark.parametrize("name", FINDINGS)
def test_what_once_brought_a_parser_down_does_so_no_more(name: str) -> None:
    for data in FINDINGS[name]:
        begun_s = time.process_time()
        TARGETS[name](data)
        assert time.process_time() - begun_s < 2


FAULTY_ITEMS = {
    "parts of a message": (b'"messages":[{"role":"user","content":[', b"0,", b"0]}]"),
    "parts that are objects": (b'"messages":[{"role":"user","content":[', b"{},", b"{}]}]"),
    "tool calls": (b'"messages":[{"role":"assistant","tool_calls":[', b"{},", b"{}]}]"),
    "messages": (b'"messages":[', b"{},", b"{}]"),
    "stop words": (b'"messages":[{"role":"user","content":"x"}],"params":{"stop":[', b"0,", b"0]}"),
    "tools": (b'"messages":[{"role":"user","content":"x"}],"params":{"tools":[', b"0,", b"0]}"),
}


@pytest.mark.parametrize(("head", "item", "tail"), FAULTY_ITEMS.values(), ids=FAULTY_ITEMS.keys())
def test_megabytes_of_faulty_items_are_refused_by_the_first_of_them(head: bytes, item: bytes, tail: bytes) -> None:
    """Told apart one by one, a stranger's four megabytes took `validate` seven seconds and four gigabytes."""
    room = FOUR_MEGABYTES - 100
    value = b'{"request_id":"r","tenant_id":"acme",' + head + item * (room // len(item)) + tail + b"}"
    begun_s = time.process_time()
    with pytest.raises(ValidationError) as refused:
        Request.decode(value)
    assert refused.value.error_count() < 5
    assert time.process_time() - begun_s < 2


@pytest.mark.parametrize("tokens", [10**12, 10**15, 10**30])
def test_an_answer_with_an_impossible_count_of_tokens_is_given_and_its_cost_is_unknown(tokens: int) -> None:
    """Priced, it fitted no column: the decision failed, and an answer that was paid for was lost."""
    usage = {"prompt_tokens": tokens, "completion_tokens": 5, "total_tokens": tokens + 5}
    records = forwarded(postprocess.decide(completion(attempts=(attempt(usage_raw=usage),)), view(GivenResponses())))
    (response,) = on(RESPONSES, (r for r in records if r.topic is RESPONSES), Response)
    (row,) = call_rows((r for r in records if r.topic is CALLS), CALLS)
    assert response.status == "ok"
    assert row.cost_status == "unknown_billable"
    assert native_block([row])


def test_a_number_beyond_64_bits_in_a_usage_block_is_stored_as_the_provider_wrote_it() -> None:
    """The row was given up as one that ClickHouse refuses."""
    usage = {"prompt_tokens": 1, "completion_tokens": 5, "b": 2**64, "a": {"c": -(2**70)}}
    records = forwarded(postprocess.decide(completion(attempts=(attempt(usage_raw=usage),)), view(GivenResponses())))
    (row,) = call_rows((r for r in records if r.topic is CALLS), CALLS)
    assert b'{"a":{"c":-1180591620717411303424},"b":18446744073709551616,' in native_block([row])


def test_a_number_of_thousands_of_digits_is_not_repeated_to_its_sender() -> None:
    value = request_json(params={"seed": "digits"}).replace(b'"digits"', b"9" * 4_000)
    with pytest.raises(ValidationError):
        Request.decode(value)
    TARGETS["request"](value)


@pytest.mark.parametrize("at_ms", [-(2**63), 2**62, 253_402_300_800_000])
def test_a_time_beyond_any_year_is_shown_as_the_number_it_is(at_ms: int) -> None:
    """`millrace audit` ended in a traceback when a producer had written one."""
    assert clock(at_ms) == f"{at_ms} ms"
