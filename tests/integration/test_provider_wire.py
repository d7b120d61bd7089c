"""What the adapters make of a peer that misbehaves below the protocol, and what they send to one that does not."""

import asyncio
import gzip
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace
from pydantic import SecretStr

from schemas.base import dump_json, load_json
from schemas.prompt import Prompt, UserMessage
from streams.providers import length
from streams.providers.protocol import Lost, Misconfigured, Provider, ProviderError, Question, TurnedAway
from streams.providers.registry import Wiring, build
from tests.fakes.http_server import Answer, RawServer, events, raw, serving, whole

pytestmark = [pytest.mark.integration, pytest.mark.asyncio]

KEY = "sk-canary-0123456789"
BOTH = pytest.mark.parametrize("dialect", ["openai", "anthropic"])
COMPLETION = dump_json(
    {
        "model": "m-1",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi."}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
    }
)
HELLO = b'data: {"model":"m-1","choices":[{"index":0,"delta":{"content":"Hi."}}]}\n\n'
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
MESSAGE_START = (
    b"event: message_start\n"
    b'data: {"type":"message_start","message":'
    b'{"model":"m-1","content":[],"usage":{"input_tokens":9,"output_tokens":1}}}\n\n'
)
TEXT = (
    b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi."}}\n\n'
)
MESSAGE_DELTA = (
    b"event: message_delta\n"
    b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}\n\n'
)
OVERLOADED = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"thyme"}}\n\n'


def question(*, stream: bool = False, attempt_id: str = "acme/r-1/1") -> Question:
    prompt = Prompt(messages=(UserMessage(role="user", content="thyme"),))
    return Question(attempt_id, "m-1", prompt, stream=stream, timeout_ms=10_000)


@asynccontextmanager
async def facing(answer: Answer, dialect: str) -> AsyncGenerator[tuple[Provider, RawServer], None]:
    async with serving(answer) as server:
        provider = build(Wiring("openai" if dialect == "openai" else "anthropic", server.base_url, SecretStr(KEY)))
        try:
            yield provider, server
        finally:
            await provider.close()


async def error_from(answer: Answer, dialect: str, *, stream: bool = False) -> ProviderError:
    async with facing(answer, dialect) as (provider, _):
        with pytest.raises(ProviderError) as caught:
            await provider.ask(question(stream=stream))
        return caught.value


@BOTH
async def test_a_peer_that_hangs_up_after_the_question_may_have_billed_it(dialect: str) -> None:
    got = await error_from(raw(b""), dialect)

    assert isinstance(got, Lost)
    assert (got.error_class, got.ambiguous) == ("connection", True)


@BOTH
async def test_a_peer_that_does_not_speak_http_may_have_billed_it(dialect: str) -> None:
    assert isinstance(await error_from(raw(b"banana\r\n\r\n"), dialect), Lost)


@BOTH
async def test_half_a_body_is_lost(dialect: str) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n"

    assert isinstance(await error_from(raw(head + COMPLETION[:20]), dialect), Lost)


@BOTH
@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}", b"<html>gateway</html>", b'{"choices":[]}'])
async def test_a_200_that_is_no_answer_is_malformed(dialect: str, body: bytes) -> None:
    got = await error_from(whole(body), dialect)

    assert isinstance(got, Lost)
    assert got.error_class == "malformed_response"


@BOTH
async def test_redirects_are_not_followed(dialect: str) -> None:
    async with serving(whole(COMPLETION)) as elsewhere:
        got = await error_from(whole(b"", "307 Temporary Redirect", location=elsewhere.base_url), dialect)

        assert isinstance(got, Misconfigured)
        assert elsewhere.requests == []


@BOTH
async def test_nothing_is_sent_twice(dialect: str) -> None:
    async with facing(whole(b"{}", "503 Service Unavailable"), dialect) as (provider, server):
        with pytest.raises(TurnedAway):
            await provider.ask(question())

        assert len(server.requests) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_the_next_question_goes_over_the_same_connection(stream: bool) -> None:
    answer = events(HELLO, STOP, b"data: [DONE]\n\n") if stream else whole(COMPLETION)
    async with facing(answer, "openai") as (provider, server):
        for _ in range(3):
            await provider.ask(question(stream=stream))

        assert (len(server.requests), server.connections) == (3, 1)


async def test_a_connection_with_the_rest_of_an_answer_on_it_is_not_used_again() -> None:
    async def hang(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{")
        await writer.drain()

    async with facing(hang, "openai") as (provider, server):
        for _ in range(2):
            with pytest.raises(Lost):
                await provider.ask(replace(question(), timeout_ms=200))

        assert server.connections == 2


@BOTH
async def test_a_connection_that_was_closed_under_a_question_is_not_replaced_by_another(dialect: str) -> None:
    """Whoever closed it may have read, and billed, the question."""
    answered: list[bool] = []

    async def once(writer: asyncio.StreamWriter) -> None:
        if not answered:
            answered.append(True)
            await whole(b"{}", "503 Service Unavailable")(writer)
        else:
            writer.close()

    async with facing(once, dialect) as (provider, server):
        with pytest.raises(TurnedAway):
            await provider.ask(question())
        with pytest.raises(Lost):
            await provider.ask(question())

        assert (len(server.requests), server.connections) == (2, 1)


@BOTH
async def test_a_gateway_that_gave_up_waiting_may_hide_a_bill(dialect: str) -> None:
    got = await error_from(whole(b"<html>", "504 Gateway Timeout", "text/html"), dialect)

    assert isinstance(got, Lost)
    assert (got.error_class, got.http_status) == ("timeout", 504)


@BOTH
async def test_a_question_carries_the_key_and_its_attempt_id(dialect: str) -> None:
    async with facing(whole(COMPLETION), dialect) as (provider, server):
        try:
            await provider.ask(question(attempt_id="acme/ré-1\n/1"))
        except Lost:
            assert dialect == "anthropic"  # to which the body is no message

        (head,) = server.requests
        assert head["authorization"] == f"Bearer {KEY}"
        assert head["x-client-request-id"] == "acme/r%C3%A9-1%0A/1"


async def test_openai_is_asked_at_its_path_for_the_usage_of_a_stream() -> None:
    async with facing(events(HELLO, STOP, b"data: [DONE]\n\n"), "openai") as (provider, server):
        got = await provider.ask(question(stream=True))

        assert got.output.content == "Hi."
        assert server.requests[0]["request"] == "POST /chat/completions HTTP/1.1"
        body = load_json(server.bodies[0])
        assert isinstance(body, dict)
        assert body["stream_options"] == {"include_usage": True}


async def test_the_organization_of_the_environment_is_not_billed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-somebody")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-of-somebody")

    async with facing(whole(COMPLETION), "openai") as (provider, server):
        await provider.ask(question())

        assert "openai-organization" not in server.requests[0]
        assert "openai-project" not in server.requests[0]


async def test_a_stream_that_breaks_after_its_last_word_is_an_answer() -> None:
    async with facing(events(HELLO, STOP, then_cut=True), "openai") as (provider, _):
        got = await provider.ask(question(stream=True))

    assert (got.output.content, got.finish_reason, got.usage_source) == ("Hi.", "stop", "none")


async def test_a_stream_of_anthropics_that_breaks_after_its_last_word_is_an_answer_with_its_usage() -> None:
    async with facing(events(MESSAGE_START, TEXT, MESSAGE_DELTA, then_cut=True), "anthropic") as (provider, _):
        got = await provider.ask(question(stream=True))

    assert got.output.content == "Hi."
    assert got.usage_raw == {"input_tokens": 9, "output_tokens": 2}


async def test_a_stream_that_ends_in_silence_is_cut() -> None:
    got = await error_from(events(HELLO), "openai", stream=True)

    assert isinstance(got, Lost)
    assert (got.error_class, got.usage_source) == ("cut_stream", "none")


async def test_a_cut_stream_keeps_the_input_tokens_anthropic_had_announced() -> None:
    got = await error_from(events(MESSAGE_START, TEXT, then_cut=True), "anthropic", stream=True)

    assert isinstance(got, Lost)
    assert (got.error_class, got.usage_source) == ("cut_stream", "partial")
    assert got.usage_raw == {"input_tokens": 9, "output_tokens": 1}


async def test_an_overload_announced_before_the_first_word_is_a_plain_no() -> None:
    got = await error_from(events(OVERLOADED, request_id="req_9"), "anthropic", stream=True)

    assert isinstance(got, TurnedAway)
    assert (got.error_class, got.provider_request_id) == ("overloaded", "req_9")


async def test_an_overload_announced_after_the_first_word_has_cost_something() -> None:
    got = await error_from(events(MESSAGE_START, TEXT, OVERLOADED), "anthropic", stream=True)

    assert isinstance(got, Lost)
    assert (got.error_class, got.usage_source) == ("cut_stream", "partial")


async def test_an_error_in_a_stream_of_openais_is_read_by_its_code() -> None:
    frame = b'data: {"error":{"message":"thyme","type":"server_error","code":"503"}}\n\n'

    got = await error_from(events(frame), "openai", stream=True)

    assert isinstance(got, TurnedAway)
    assert got.error_class == "overloaded"
    assert "thyme" not in got.message


def endless(head: bytes, piece: bytes) -> Answer:
    """Sends until the connection is closed on it."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()

    return answer


@BOTH
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_without_an_end_is_given_up_long_before_it_fills_the_memory(
    dialect: str, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(length, "WHOLE_BYTES", 2 * length.MIB)
    monkeypatch.setattr(length, "STREAM_BYTES", 2 * length.MIB)
    content_type = b"text/event-stream" if stream else b"application/json"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: " + content_type + b"\r\ncontent-length: 99999999999\r\n\r\n"
    got = await error_from(endless(head, b"x" * 65_536), dialect, stream=stream)
    assert isinstance(got, Lost)
    assert got.error_class == "malformed_response"


@BOTH
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_is_asked_for_unpacked_and_a_packed_one_is_given_up_before_it_is_unpacked(
    dialect: str, stream: bool
) -> None:
    """However short it is: some encodings make gigabytes of a few kilobytes."""
    answer = whole(gzip.compress(COMPLETION), content_encoding="GZip")
    async with facing(answer, dialect) as (provider, peer):
        with pytest.raises(Lost) as caught:
            await provider.ask(question(stream=stream))

        assert caught.value.error_class == "malformed_response"
        assert [head["accept-encoding"] for head in peer.requests] == ["identity"]
