"""Anthropic's messages as they come back, whole and as stream events."""

from pydantic import JsonValue

from schemas.base import JsonObject
from streams.providers.wire import Wire


class Block(Wire):
    """A content block of any type; only text and tool_use are read."""

    type: str
    text: str | None = None
    id: str | None = None
    name: str | None = None
    input: JsonValue = None


class StopDetails(Wire):
    explanation: str | None = None


class Message(Wire):
    content: tuple[Block, ...]
    model: str | None = None
    stop_reason: str | None = None
    stop_details: StopDetails | None = None
    usage: JsonObject | None = None


class Delta(Wire):
    """Of a block (`text`, `partial_json`) or of the message (`stop_reason`, `stop_details`)."""

    text: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None
    stop_details: StopDetails | None = None


class StreamEvent(Wire):
    """Of any type: Anthropic announces new ones to come, and which fields are set tells what to do."""

    type: str
    index: int = 0
    message: Message | None = None
    content_block: Block | None = None
    delta: Delta = Delta()
    usage: JsonObject | None = None
