"""OpenAI's `POST /v1/chat/completions`: a whole answer, or chunks that end in `[DONE]`."""

from collections.abc import Iterator

import orjson

from scripts.simulator import openai_request
from scripts.simulator.answers import Answer, Author, Finish, ToolCall
from scripts.simulator.ask import Ask, Refusal
from scripts.simulator.dialect import Frame, Headers, Reply
from scripts.simulator.openai_wire import OpenAIWire
from scripts.simulator.prices import Catalog
from scripts.simulator.prompt_cache import PromptCache
from scripts.simulator.shapes import Object
from scripts.simulator.usage import Usage

_FINISH: dict[Finish, str] = {"end": "stop", "stop": "stop", "length": "length", "tools": "tool_calls"}
_FINGERPRINT = "fp_simulated"
_MODELS_SINCE_S = 1_715_367_049


class ChatCompletions(OpenAIWire):
    endpoint = "/v1/chat/completions"
    billed = True

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def read(self, headers: Headers, body: Object) -> Ask | Refusal:  # noqa: ARG002 - the protocol's shape
        return openai_request.read(self._catalog, self.endpoint, body)

    def answer(self, author: Author, ask: Ask) -> Answer:
        return author.compose(ask)

    def usage(self, cache: PromptCache, owner: str, ask: Ask) -> Usage:
        return cache.automatic(owner, ask.prompt, ask.model.encoding)

    def whole(self, reply: Reply) -> bytes:
        answer = reply.answer
        message: Object = {
            "role": "assistant",
            "content": None if answer.calls and not answer.text.texts else answer.text.text,
            "refusal": None,
            "annotations": [],
        }
        if answer.calls:
            message["tool_calls"] = [_call(call, call.arguments.text) for call in answer.calls]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _FINISH[answer.finish]}
        return orjson.dumps(_envelope(reply, "chat.completion") | {"choices": [choice], "usage": usage_of(reply.usage)})

    def frames(self, reply: Reply) -> Iterator[Frame]:
        chunk = _Chunks(reply)
        answer = reply.answer
        empty = None if answer.calls else ""
        yield Frame(chunk.delta({"role": "assistant", "content": empty, "refusal": None}))
        for text, tokens in zip(answer.text.texts, answer.text.tokens, strict=True):
            yield Frame(chunk.delta({"content": text}), tokens)
        for index, call in enumerate(answer.calls):
            yield Frame(chunk.delta({"tool_calls": [{"index": index} | _call(call, "")]}), call.opening)
            for text, tokens in zip(call.arguments.texts, call.arguments.tokens, strict=True):
                yield Frame(chunk.delta({"tool_calls": [{"index": index, "function": {"arguments": text}}]}), tokens)
        yield Frame(chunk.delta({}, _FINISH[answer.finish]))
        if reply.ask.stream_usage:
            yield Frame(chunk.closing())
        yield Frame(b"data: [DONE]\n\n")

    def models(self) -> bytes:
        """The body of `GET /v1/models`."""
        names = [name for model in self._catalog.of("openai") for name in (model.name, model.snapshot) if name]
        rows = [{"id": name, "object": "model", "created": _MODELS_SINCE_S, "owned_by": "system"} for name in names]
        return orjson.dumps({"object": "list", "data": rows})


class _Chunks:
    """Every chunk of a stream repeats its envelope: it is serialised once."""

    def __init__(self, reply: Reply) -> None:
        envelope = orjson.dumps(_envelope(reply, "chat.completion.chunk"))[:-1]
        self._head = b'data: %s,"choices":[{"index":0,"delta":' % envelope
        self._tail = b',"usage":null}\n\n' if reply.ask.stream_usage else b"}\n\n"
        self._closing = b'data: %s,"choices":[],"usage":%s}\n\n' % (envelope, orjson.dumps(usage_of(reply.usage)))

    def delta(self, delta: Object, finish: str | None = None) -> bytes:
        return b'%s%s,"logprobs":null,"finish_reason":%s}]%s' % (
            self._head,
            orjson.dumps(delta),
            orjson.dumps(finish),
            self._tail,
        )

    def closing(self) -> bytes:
        return self._closing


def usage_of(usage: Usage) -> Object:
    """OpenAI's prompt tokens include the cached ones, its completion tokens the thinking."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.generated,
        "total_tokens": usage.prompt + usage.generated,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _envelope(reply: Reply, kind: str) -> Object:
    return {
        "id": f"chatcmpl-{reply.serial}",
        "object": kind,
        "created": reply.created_s,
        "model": reply.model_name,
        "service_tier": "default",
        "system_fingerprint": _FINGERPRINT,
    }


def _call(call: ToolCall, arguments: str) -> Object:
    return {"id": f"call_{call.key}", "type": "function", "function": {"name": call.name, "arguments": arguments}}
