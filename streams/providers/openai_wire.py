"""OpenAI's chat completions as they come back, whole and in chunks."""

from typing import Annotated

from pydantic import Field

from schemas.base import JsonObject
from streams.providers.wire import Wire


class Function(Wire):
    name: str
    arguments: str


class Call(Wire):
    id: str
    function: Function


class Message(Wire):
    content: str | None = None
    refusal: str | None = None
    tool_calls: tuple[Call, ...] | None = None


class Choice(Wire):
    message: Message
    finish_reason: str | None = None


class Completion(Wire):
    choices: Annotated[tuple[Choice, ...], Field(min_length=1)]
    model: str | None = None
    service_tier: str | None = None
    usage: JsonObject | None = None


class FunctionDelta(Wire):
    name: str | None = None
    arguments: str | None = None


class CallDelta(Wire):
    index: int = 0
    id: str | None = None
    function: FunctionDelta = FunctionDelta()


class Delta(Wire):
    content: str | None = None
    refusal: str | None = None
    tool_calls: tuple[CallDelta, ...] | None = None


class ChunkChoice(Wire):
    delta: Delta = Delta()
    finish_reason: str | None = None


class Chunk(Wire):
    """The usage comes last, in a chunk without choices."""

    choices: tuple[ChunkChoice, ...] = ()
    model: str | None = None
    service_tier: str | None = None
    usage: JsonObject | None = None
