"""Anthropic's `POST /v1/messages`, whole or as an event stream, and `POST /v1/messages/count_tokens`."""

from collections.abc import Iterator

import orjson

from scripts.simulator import anthropic_request
from scripts.simulator.answers import Answer, Author, Finish, ToolCall
from scripts.simulator.anthropic_wire import AnthropicWire
from scripts.simulator.ask import Ask, Refusal, invalid
from scripts.simulator.dialect import Frame, Headers, Reply
from scripts.simulator.prices import Catalog
from scripts.simulator.prompt_cache import PromptCache
from scripts.simulator.shapes import Object
from scripts.simulator.tokens import Pieces
from scripts.simulator.usage import Usage

_FINISH: dict[Finish, str] = {
    "end": "end_turn",
    "stop": "stop_sequence",
    "length": "max_tokens",
    "tools": "tool_use",
}
_THOUGHT = "The request is clear; the answer follows."
_SIGNATURE = "c2ltdWxhdGVk"


class Messages(AnthropicWire):
    endpoint = "/v1/messages"
    billed = True

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def read(self, headers: Headers, body: Object) -> Ask | Refusal:
        if b"anthropic-version" not in headers:
            return invalid("anthropic-version: header is required")
        return anthropic_request.read(self._catalog, self.endpoint, body, counting=not self.billed)

    def answer(self, author: Author, ask: Ask) -> Answer:
        return author.compose(ask)

    def usage(self, cache: PromptCache, owner: str, ask: Ask) -> Usage:
        return cache.marked(owner, ask.prompt)

    def whole(self, reply: Reply) -> bytes:
        answer = reply.answer
        content: list[Object] = []
        if answer.reasoning:
            content.append({"type": "thinking", "thinking": _THOUGHT, "signature": _SIGNATURE})
        if answer.text.texts or not answer.calls:
            content.append({"type": "text", "text": answer.text.text})
        content += [_tool_use(call, _arguments(call.arguments)) for call in answer.calls]
        return orjson.dumps(
            _message(reply)
            | {
                "content": content,
                "stop_reason": _FINISH[answer.finish],
                "stop_sequence": answer.stop,
                "usage": usage_of(reply.usage),
            }
        )

    def frames(self, reply: Reply) -> Iterator[Frame]:
        answer = reply.answer
        empty: list[object] = []
        opening = _message(reply) | {
            "content": empty,
            "stop_reason": None,
            "stop_sequence": None,
            # The real stream opens with the input counts and a token or so of output; the end has the true number.
            "usage": usage_of(reply.usage) | {"output_tokens": 1},
        }
        yield Frame(_event("message_start", {"message": opening}))
        yield Frame(_event("ping", {}))
        at = 0
        if answer.reasoning:
            thought: Object = {"type": "thinking_delta", "thinking": _THOUGHT}
            signed: Object = {"type": "signature_delta", "signature": _SIGNATURE}
            yield _start(at, {"type": "thinking", "thinking": "", "signature": ""})
            yield Frame(_event("content_block_delta", {"index": at, "delta": thought}))
            yield Frame(_event("content_block_delta", {"index": at, "delta": signed}))
            yield _stop(at)
            at += 1
        if answer.text.texts or not answer.calls:
            yield _start(at, {"type": "text", "text": ""})
            yield from _deltas(at, "text_delta", "text", answer.text)
            yield _stop(at)
            at += 1
        for call in answer.calls:
            yield _start(at, _tool_use(call, {}), call.opening)
            yield from _deltas(at, "input_json_delta", "partial_json", call.arguments)
            yield _stop(at)
            at += 1
        usage = usage_of(reply.usage)
        del usage["cache_creation"], usage["service_tier"]
        delta: Object = {"stop_reason": _FINISH[answer.finish], "stop_sequence": answer.stop}
        yield Frame(_event("message_delta", {"delta": delta, "usage": usage}))
        yield Frame(_event("message_stop", {}))

    def models(self) -> bytes:
        """The body of `GET /v1/models`."""
        names = [model.snapshot or model.name for model in self._catalog.of("anthropic")]
        rows = [
            {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"} for name in names
        ]
        return orjson.dumps({"data": rows, "has_more": False, "first_id": names[0], "last_id": names[-1]})


class TokenCounts(Messages):
    """Counting is free, is not cached and never fails for want of an answer limit."""

    endpoint = "/v1/messages/count_tokens"
    billed = False

    def answer(self, author: Author, ask: Ask) -> Answer:  # noqa: ARG002 - nothing is written
        return Answer()

    def usage(self, cache: PromptCache, owner: str, ask: Ask) -> Usage:  # noqa: ARG002 - nothing is cached
        return Usage(input=ask.prompt.total)

    def whole(self, reply: Reply) -> bytes:
        return orjson.dumps({"input_tokens": reply.usage.prompt})


def usage_of(usage: Usage) -> Object:
    """Anthropic's input tokens leave out everything that was read from or written to the cache."""
    shown: Object = {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "output_tokens": usage.generated,
        "service_tier": "standard",
    }
    if usage.reasoning:
        shown["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return shown


def _message(reply: Reply) -> Object:
    return {"id": f"msg_{reply.serial}", "type": "message", "role": "assistant", "model": reply.model_name}


def _tool_use(call: ToolCall, arguments: object) -> Object:
    return {"type": "tool_use", "id": f"toolu_{call.key}", "name": call.name, "input": arguments}


def _arguments(arguments: Pieces) -> object:
    try:
        return orjson.loads(arguments.text)
    except orjson.JSONDecodeError:
        return {}  # cut off by max_tokens: a whole answer cannot show half an object


def _deltas(index: int, kind: str, field: str, pieces: Pieces) -> Iterator[Frame]:
    head = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%s","%s":' % (
        index,
        kind.encode(),
        field.encode(),
    )
    for text, tokens in zip(pieces.texts, pieces.tokens, strict=True):
        yield Frame(b"%s%s}}\n\n" % (head, orjson.dumps(text)), tokens)


def _start(index: int, block: Object, tokens: int = 0) -> Frame:
    return Frame(_event("content_block_start", {"index": index, "content_block": block}), tokens)


def _stop(index: int) -> Frame:
    return Frame(_event("content_block_stop", {"index": index}))


def _event(kind: str, fields: Object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), orjson.dumps({"type": kind} | fields))
