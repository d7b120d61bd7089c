"""What providers answer: whole bodies, streams cut anywhere, errors and their headers, up to the rows they become."""

import asyncio
from collections.abc import Callable, Mapping

import httpx2
from pydantic import SecretStr

from schemas.base import load_json
from schemas.flow import Answer, Completion
from schemas.prompt import Params, Prompt, UserMessage
from schemas.topics import CALLS
from sinks.native import native_block
from streams.invoke.attempts import answered, failed
from streams.providers.anthropic_messages import AnthropicMessages
from streams.providers.clients import anthropic_client, openai_client
from streams.providers.http import Answer as Received
from streams.providers.openai_chat import OpenAIChat
from streams.providers.protocol import Provider, ProviderError, Question
from streams.providers.retry_after import MAX_RETRY_AFTER_MS, retry_after_ms
from streams.stages import postprocess
from streams.state.given_responses import GivenResponses
from tests.fuzz.target import Target, joined, pairs, parts_of
from tests.fuzz.targets.pipeline import sendable
from tests.unit.examples import NOW_MS, attempt, call_rows, completion, delivery, forwarded, view

PROMPT = Prompt(messages=(UserMessage(role="user", content="Is it ripe?"),), params=Params(stop=("END",)))
LOOP = asyncio.new_event_loop()


class _Http:
    """Answers whatever is asked, in pieces of `step` bytes; `breaks` says that the connection does after the last."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes, step: int, *, breaks: bool) -> None:
        self._status, self._headers, self._breaks = status, headers, breaks
        self._pieces = iter([body[start : start + step] for start in range(0, len(body), step)])

    async def post(self, body: bytes, headers: Mapping[str, str], connect_s: float) -> Received:
        assert load_json(body)
        assert headers
        assert connect_s > 0
        return Received(self._status, self._headers, self, lambda: None)

    async def readany(self) -> bytes:
        piece = next(self._pieces, b"")
        if self._breaks and not piece:
            raise httpx2.ReadError("the connection is gone")
        return piece

    async def close(self) -> None:
        """Nothing is open."""


def _text(header: bytes) -> str:
    """As a connection reads it."""
    return header.decode(errors="surrogateescape")


def _openai(http: _Http) -> Provider:
    return OpenAIChat(openai_client(None, SecretStr("sk-fuzz")), lambda _url, _headers: http)


def _anthropic(http: _Http) -> Provider:
    return AnthropicMessages(anthropic_client(None, SecretStr("sk-fuzz")), lambda _url, _headers: http)


def _answered_by(build: Callable[[_Http], Provider]) -> Callable[[bytes], None]:
    """An input is the body, how it comes (status, stream, size of the pieces, whether it breaks), and headers."""

    def run(data: bytes) -> None:
        body, how, *said = parts_of(data, 2)
        status, stream, step, breaks = (*how, *(200, 1, 64, 0)[len(how) :])[:4]
        http = _Http(
            100 + status * 2 if status != 200 else 200,
            {_text(name).lower(): _text(value) for name, value in pairs(said)},
            body,
            1 + step,
            breaks=bool(breaks & 1),
        )
        question = Question("attempt-1", "gpt-5", PROMPT, stream=bool(stream & 1), timeout_ms=60_000)
        _book(LOOP.run_until_complete(_ended(build(http), question)))

    return run


async def _ended(provider: Provider, question: Question) -> Completion:
    """The completion that an attempt with this answer ends in."""
    begun = attempt(usage_raw=None, usage_source="none", finish_reason=None, http_status=None)
    try:
        reply = await provider.ask(question)
    except ProviderError as error:
        return completion(status="failed", answer=None, attempts=(failed(begun, error, NOW_MS),))
    finally:
        await provider.close()
    said = Answer(
        output=reply.output,
        finish_reason=reply.finish_reason,
        model=reply.model_reported or begun.model,
        provider=begun.provider,
        deployment=begun.deployment,
    )
    return completion(answer=said, attempts=(answered(begun, reply, NOW_MS),), parse_json=True)


def _book(ended: Completion) -> None:
    """The answer, or the lack of one, makes its way to the response topic and the table."""
    read = Completion.decode(ended.encode())
    outcome = postprocess.decide(read, view(GivenResponses()))
    sendable(outcome, delivery())
    native_block(call_rows((r for r in forwarded(outcome) if r.topic is CALLS), CALLS))


def _retry_after(data: bytes) -> None:
    first, second = parts_of(data, 2)[:2]
    for headers in ({"retry-after": first}, {"retry-after-ms": first, "retry-after": second}):
        wait_ms = retry_after_ms({name: value.decode("latin-1") for name, value in headers.items()}, NOW_MS)
        assert wait_ms is None or 0 <= wait_ms <= MAX_RETRY_AFTER_MS


_JSON = (b"content-type", b"application/json")
_EVENTS = (b"content-type", b"text/event-stream")
_OPENAI_WHOLE = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"gpt-5","service_tier":"default","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"Yes.","refusal":null,"tool_calls":[{"id":"call_1","type":"function",'
    b'"function":{"name":"f","arguments":"{\\"a\\":1}"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,'
    b'"completion_tokens":5,"total_tokens":17,"prompt_tokens_details":{"cached_tokens":3},'
    b'"completion_tokens_details":{"reasoning_tokens":2}}}'
)
_OPENAI_STREAM = (
    b'data: {"model":"gpt-5","choices":[{"index":0,"delta":{"role":"assistant","content":"Y\xc3\xa4s"}}]}\n\n'
    b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","function":{"name":"f",'
    b'"arguments":"{"}}]},"finish_reason":"tool_calls"}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":5,"total_tokens":17}}\n\ndata: [DONE]\n\n'
)
_OPENAI_ERROR = (
    b'{"error":{"message":"no","type":"invalid_request_error","param":"messages[0].content","code":"model_not_found"}}'
)
_ANTHROPIC_WHOLE = (
    b'{"id":"m","type":"message","role":"assistant","model":"claude-haiku-4-5","content":[{"type":"text","text":"Yes."},'
    b'{"type":"tool_use","id":"toolu_1","name":"f","input":{"a":1}}],"stop_reason":"tool_use","usage":'
    b'{"input_tokens":12,"output_tokens":5,"cache_read_input_tokens":3,"cache_creation_input_tokens":0,'
    b'"service_tier":"standard"}}'
)
_ANTHROPIC_STREAM = (
    b'event: message_start\ndata: {"type":"message_start","message":{"model":"claude-haiku-4-5","content":[],'
    b'"usage":{"input_tokens":12,"output_tokens":1}}}\n\n'
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text",'
    b'"text":""}}\n\nevent: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":'
    b'"text_delta","text":"Yes."}}\n\nevent: ping\ndata: {"type":"ping"}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta",'
    b'"partial_json":"{"}}\n\nevent: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
    b'"usage":{"output_tokens":5}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n'
)
_ANTHROPIC_ERROR = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}'
_ANTHROPIC_BROKEN = b"event: error\ndata: " + _ANTHROPIC_ERROR + b"\n\n"
assert load_json(_OPENAI_WHOLE)
assert load_json(_ANTHROPIC_WHOLE)


def _seeds(whole: bytes, stream: bytes, *errors: bytes) -> tuple[bytes, ...]:
    return (
        joined(whole, bytes((200, 0, 255, 0)), *_JSON, b"x-request-id", b"req_1"),
        joined(stream, bytes((200, 1, 30, 0)), *_EVENTS, b"request-id", b"req_1"),
        joined(stream[: len(stream) // 2], bytes((200, 1, 7, 1)), *_EVENTS),
        *(
            joined(error, bytes((status, 0, 255, 0)), *_JSON, b"retry-after", b"2")
            for error in errors
            for status in (150, 164, 214)
        ),
        *(joined(stream[:120] + error, bytes((200, 1, 255, 0)), *_EVENTS) for error in errors),
    )


TARGETS = (
    Target(
        "openai-answer",
        "an OpenAI provider's answer: body, stream, error and headers, up to its response and its row",
        _answered_by(_openai),
        _seeds(_OPENAI_WHOLE, _OPENAI_STREAM, _OPENAI_ERROR),
    ),
    Target(
        "anthropic-answer",
        "Anthropic's answer: body, stream, error and headers, up to its response and its row",
        _answered_by(_anthropic),
        _seeds(_ANTHROPIC_WHOLE, _ANTHROPIC_STREAM, _ANTHROPIC_ERROR, _ANTHROPIC_BROKEN),
    ),
    Target(
        "retry-after",
        "a provider's retry-after headers",
        _retry_after,
        (b"20", b"Wed, 21 Oct 2026 07:28:00 GMT", b"1e3", b"Sat, 21 Nov 2026 09:00:00 +2359", joined(b"350", b"1")),
    ),
)
