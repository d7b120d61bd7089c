"""How many values a request is made of. Each costs every stage that reads it far more than its bytes do: four megabytes
of text are read in a hundredth of a second, and four megabytes of empty parts in seconds.
"""

from collections.abc import Iterable, Sequence
from typing import Any, cast

from schemas.prompt import AssistantMessage, JsonSchemaFormat, Message, Params, Prompt
from schemas.request import Request
from schemas.response import Failure

MOST_VALUES = 20_000
"""Parts and tool calls of messages, and values of schemas: read in a quarter of a second, and more than models take."""
MOST_PROMPT_BYTES = 5 * 1024 * 1024
"""As it is written for the stages: `1e15` has four bytes, and then eighteen. A topic takes six."""
_KEYS = (b'"type"', b'"arguments"')
"""A part has the one and a tool call the other; inside a text their quotation marks are escaped."""
_SPARE = 64


def is_surely_too_many(raw: bytes) -> bool:
    """By a glance at the bytes: to take so many for what they are is what costs. A value may be spelt like its key."""
    return max(map(raw.count, _KEYS)) > 2 * MOST_VALUES + _SPARE


def too_many(asked: Request | Prompt) -> Failure | None:
    """What to tell whoever sent it."""
    said = sum(map(_in_message, asked.messages))
    values = said + _in_params(asked.params)
    return None if values <= MOST_VALUES else refusal("messages" if said > MOST_VALUES // 2 else "params")


def refusal(field: str | None = None) -> Failure:
    message = (
        f"the request is made of more than {MOST_VALUES} parts, tool calls and values of schemas: join texts into one "
        "part, or send less"
    )
    return Failure(code="request_too_large", message=message, field=field)


def too_long(prompt: bytes | memoryview) -> Failure | None:
    if len(prompt) <= MOST_PROMPT_BYTES:
        return None
    message = f"written out, the prompt has {len(prompt)} bytes; at most {MOST_PROMPT_BYTES} are taken: send less"
    return Failure(code="request_too_large", message=message, field="messages")


def _in_message(message: Message) -> int:
    content = message.content
    parts = 0 if content is None or isinstance(content, str) else len(content)
    return parts + (len(message.tool_calls) if isinstance(message, AssistantMessage) else 0)


def _in_params(params: Params) -> int:
    schemas: list[Any] = [tool.function.parameters for tool in params.tools]
    if isinstance(params.response_format, JsonSchemaFormat):
        schemas.append(params.response_format.json_schema.schema_)
    return _in_json(schemas)


def _in_json(values: Sequence[Any]) -> int:
    """Level by level, for a schema may be nested deeply; no further than need be."""
    found, level = 0, list(values)
    while level and found <= MOST_VALUES:
        found += len(level)
        level = [inner for value in level for inner in _inner(value)]
    return found


def _inner(value: Any) -> Iterable[Any]:
    match value:
        case dict():
            return cast("dict[str, Any]", value).values()
        case list():
            return cast("list[Any]", value)
        case _:
            return ()
