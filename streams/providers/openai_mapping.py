"""Our prompt as OpenAI's chat completion request, and its answer as ours. Pure."""

from typing import assert_never, cast

from openai.types.chat import ChatCompletionMessageParam
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.chat.completion_create_params import ResponseFormat as ResponseFormatParam
from openai.types.shared_params import FunctionDefinition as FunctionDefinitionParam
from openai.types.shared_params.response_format_json_schema import JSONSchema

from schemas.prompt import (
    FunctionDefinition,
    JsonObjectFormat,
    JsonSchemaFormat,
    Message,
    Params,
    ResponseFormat,
    SystemMessage,
    TextFormat,
)
from schemas.response import FinishReason, Output
from streams.providers import openai_dialect
from streams.providers.openai_transcript import Transcript
from streams.providers.protocol import Question

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}
_ASK_FOR_JSON: ChatCompletionMessageParam = {"role": "system", "content": "Answer with one JSON object."}


def request(question: Question) -> dict[str, object]:
    """The body of POST /chat/completions."""
    params = question.prompt.params
    body: CompletionCreateParamsNonStreaming = {
        "model": question.model,
        "messages": _messages(question.prompt.messages, params),
    }
    _limit(body, question.model, params)
    if params.tools:
        body["tools"] = [{"type": "function", "function": _function(tool.function)} for tool in params.tools]
        match params.tool_choice:
            case None:
                pass
            case str(word):
                body["tool_choice"] = word
            case named:
                body["tool_choice"] = {"type": "function", "function": {"name": named.function.name}}
    if params.response_format is not None:
        body["response_format"] = _format(params.response_format)
    if question.stream:
        return {**body, "stream": True, "stream_options": {"include_usage": True}}
    return {**body}


def _limit(body: CompletionCreateParamsNonStreaming, model: str, params: Params) -> None:
    """Parameters a model refuses are left out: a fallback from one model to another must not fail for their sake."""
    if params.max_tokens is not None:
        if openai_dialect.bounds_by_completion_tokens(model):
            body["max_completion_tokens"] = params.max_tokens
        else:
            body["max_tokens"] = params.max_tokens
    if openai_dialect.takes_sampling(model):
        if params.temperature is not None:
            body["temperature"] = params.temperature
        if params.top_p is not None:
            body["top_p"] = params.top_p
    if params.stop and openai_dialect.takes_stop(model):
        body["stop"] = list(params.stop)
    if params.seed is not None:
        body["seed"] = params.seed


def _function(function: FunctionDefinition) -> FunctionDefinitionParam:
    mapped: FunctionDefinitionParam = {"name": function.name}
    if function.parameters:
        mapped["parameters"] = dict(function.parameters)
    if function.description is not None:
        mapped["description"] = function.description
    if function.strict is not None:
        mapped["strict"] = function.strict
    return mapped


def _format(wished: ResponseFormat) -> ResponseFormatParam:
    match wished:
        case TextFormat():
            return {"type": "text"}
        case JsonObjectFormat():
            return {"type": "json_object"}
        case JsonSchemaFormat():
            wanted = wished.json_schema
            schema: JSONSchema = {"name": wanted.name, "schema": dict(wanted.schema_)}
            if wanted.description is not None:
                schema["description"] = wanted.description
            if wanted.strict is not None:
                schema["strict"] = wanted.strict
            return {"type": "json_schema", "json_schema": schema}
        case _:
            assert_never(wished)


def _messages(messages: tuple[Message, ...], params: Params) -> list[ChatCompletionMessageParam]:
    mapped = [_message(message) for message in messages]
    # OpenAI answers 400 to JSON mode when no message mentions JSON; Anthropic has no such rule.
    if isinstance(params.response_format, JsonObjectFormat) and "json" not in str(mapped).lower():
        return [_ASK_FOR_JSON, *mapped]
    return mapped


def _message(message: Message) -> ChatCompletionMessageParam:
    fields = message.model_dump(mode="json", exclude_none=True)
    if isinstance(message, SystemMessage):
        # OpenAI reads `system` as `developer` where a model knows developers; other vendors know only `system`.
        fields["role"] = "system"
    if fields.get("tool_calls") == []:
        del fields["tool_calls"]
    return cast("ChatCompletionMessageParam", fields)


def answer(question: Question, heard: Transcript) -> tuple[Output, FinishReason]:
    reason = _FINISH.get(heard.finish or "", "unknown")
    refusal, tool_calls = heard.refusal, heard.tool_calls
    if refusal:
        reason = "refusal"
    elif tool_calls and reason == "stop":
        # A tool demanded by name ends in "stop", as if nothing were left to do.
        reason = "tool_calls"
    content = heard.content
    if not openai_dialect.takes_stop(question.model):
        content = until_stop(content, question.prompt.params.stop)
    return Output(content=content or None, tool_calls=tool_calls, refusal=refusal or None), reason


def until_stop(content: str, stops: tuple[str, ...]) -> str:
    """The content as it were had the model honoured `stop`: reasoning models refuse the parameter."""
    ends = [at for stop in stops if stop and (at := content.find(stop)) >= 0]
    return content[: min(ends)] if ends else content
