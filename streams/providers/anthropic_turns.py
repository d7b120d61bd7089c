"""Our messages as Anthropic's turns: system prompts apart, users and assistants in strict alternation."""

import re
from typing import Literal, assert_never, cast

from anthropic.types import (
    ImageBlockParam,
    MessageParam,
    TextBlockParam,
    ToolResultBlockParam,
    ToolUseBlockParam,
)

from schemas.base import load_json
from schemas.prompt import (
    AssistantMessage,
    ImagePart,
    Message,
    SystemMessage,
    TextContent,
    TextPart,
    ToolMessage,
    UserMessage,
    UserPart,
)

Role = Literal["user", "assistant"]
TurnBlock = TextBlockParam | ImageBlockParam | ToolUseBlockParam | ToolResultBlockParam
_MediaType = Literal["image/png", "image/jpeg", "image/gif", "image/webp"]

_UNFIT_FOR_ID = re.compile(r"[^a-zA-Z0-9_-]")
_OPENING = "Begin."
_CONTINUATION = "Continue."


def system(messages: tuple[Message, ...]) -> list[TextBlockParam]:
    """Every system and developer message in order, wherever in the conversation it stood."""
    return [block for message in messages if isinstance(message, SystemMessage) for block in _texts(message.content)]


def turns(messages: tuple[Message, ...]) -> list[MessageParam]:
    """Anthropic wants the user to have the first word, and the last: newer models refuse to go on from their own.

    OpenAI wants neither, so where a user's turn is missing a single word stands in for it.
    """
    spoken: list[tuple[Role, list[TurnBlock]]] = []
    for message in messages:
        role, blocks = _turn(message)
        if not blocks:
            continue
        if spoken and spoken[-1][0] == role:
            spoken[-1][1].extend(blocks)
        else:
            spoken.append((role, blocks))
    if not spoken or spoken[0][0] == "assistant":
        spoken.insert(0, ("user", [_text(_OPENING)]))
    if spoken[-1][0] == "assistant":
        spoken.append(("user", [_text(_CONTINUATION)]))
    return [_message(role, blocks) for role, blocks in spoken]


def called_tools(messages: tuple[Message, ...]) -> tuple[str, ...]:
    """The names of the tools this conversation has called already, each once."""
    calls = (call for message in messages if isinstance(message, AssistantMessage) for call in message.tool_calls)
    return tuple(dict.fromkeys(call.function.name for call in calls))


def _message(role: Role, blocks: list[TurnBlock]) -> MessageParam:
    if role == "user":
        return {"role": "user", "content": blocks}
    return {"role": "assistant", "content": blocks}


def _turn(message: Message) -> tuple[Role, list[TurnBlock]]:
    match message:
        case SystemMessage():
            return "user", []
        case UserMessage():
            return "user", _user(message.content)
        case AssistantMessage():
            calls: list[TurnBlock] = [
                {
                    "type": "tool_use",
                    "id": _id(call.id),
                    "name": call.function.name,
                    "input": _arguments(call.function.arguments),
                }
                for call in message.tool_calls
            ]
            return "assistant", [*_texts(message.content or ""), *calls]
        case ToolMessage():
            return "user", [
                {"type": "tool_result", "tool_use_id": _id(message.tool_call_id), "content": _texts(message.content)}
            ]
        case _:
            assert_never(message)


def _user(content: str | tuple[UserPart, ...]) -> list[TurnBlock]:
    if isinstance(content, str):
        return [*_texts(content)]
    blocks: list[TurnBlock] = []
    for part in content:
        match part:
            case TextPart():
                blocks.extend(_texts(part.text))
            case ImagePart():
                blocks.append(_image(part))
            case _:
                assert_never(part)
    return blocks


def _texts(content: TextContent) -> list[TextBlockParam]:
    """Without the empty ones, which Anthropic refuses."""
    texts = [content] if isinstance(content, str) else [part.text for part in content]
    return [_text(text) for text in texts if text]


def _text(text: str) -> TextBlockParam:
    return {"type": "text", "text": text}


def _image(part: ImagePart) -> ImageBlockParam:
    head, _, data = part.image_url.url.partition(",")
    media_type = cast("_MediaType", head.removeprefix("data:").removesuffix(";base64"))
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def _id(call_id: str) -> str:
    """Anthropic's ids have fewer letters than other vendors'; a call and its result are changed alike."""
    return _UNFIT_FOR_ID.sub("_", call_id)


def _arguments(text: str) -> dict[str, object]:
    """Models write arguments that are not JSON, or no object; Anthropic takes objects only, so those are wrapped."""
    try:
        value = load_json(text) if text else {}
    except ValueError:
        value = text
    return {**value} if isinstance(value, dict) else {"arguments": value}
