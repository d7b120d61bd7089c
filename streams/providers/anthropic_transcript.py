"""A message of Anthropic's as it is heard: at once, or put together event by event."""

from dataclasses import dataclass, field

from schemas.base import JsonObject, dump_json
from streams.providers.anthropic_wire import Block, Message, StopDetails, StreamEvent


@dataclass(slots=True)
class Part:
    """A block of the answer; `pieces` are its text, or the JSON text of a tool's input."""

    type: str
    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list[str])

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(slots=True)
class Transcript:
    """`finish` is Anthropic's stop reason; the event that brings it also brings the final usage."""

    began: bool = False
    finish: str | None = None
    usage: JsonObject | None = None
    model: str | None = None
    explanation: str | None = None
    _parts: dict[int, Part] = field(default_factory=dict[int, Part])

    @property
    def heard(self) -> str:
        return "".join(text for part in self._parts.values() for text in (part.name, *part.pieces))

    def parts_of(self, kind: str) -> list[Part]:
        return [part for _, part in sorted(self._parts.items()) if part.type == kind]

    def take(self, message: Message) -> None:
        self._open(message)
        for index, block in enumerate(message.content):
            self._parts[index] = _part(block)

    def add(self, event: StreamEvent) -> bool:
        """Whether the event brought something of the answer itself."""
        self.began = True
        delta = event.delta
        match event.type:
            case "message_start" if event.message is not None:
                self._open(event.message)
            case "content_block_start" if event.content_block is not None:
                # Its tool input is an empty placeholder here: the real one follows in deltas.
                self._parts[event.index] = _part(event.content_block.model_copy(update={"input": None}))
                return event.content_block.type == "tool_use"
            case "content_block_delta":
                piece = delta.text or delta.partial_json or ""
                self._parts.setdefault(event.index, Part("text")).pieces.append(piece)
                return bool(piece)
            case "message_delta":
                self._count(event.usage)
                self._stop(delta.stop_reason, delta.stop_details)
            case _:
                pass
        return False

    def _open(self, message: Message) -> None:
        self.began = True
        self.model = message.model
        self._count(message.usage)
        self._stop(message.stop_reason, message.stop_details)

    def _stop(self, reason: str | None, details: StopDetails | None) -> None:
        self.finish = reason or self.finish
        self.explanation = (details.explanation if details is not None else None) or self.explanation

    def _count(self, usage: JsonObject | None) -> None:
        """Later counts are totals, not increments, and leave out what has not changed since the start."""
        if usage is not None:
            reported = {name: count for name, count in usage.items() if count is not None}
            self.usage = {**(self.usage or {}), **reported} if self.usage is not None else usage


def _part(block: Block) -> Part:
    text = block.text if block.input is None else dump_json(block.input).decode()
    return Part(block.type, block.id or "", block.name or "", [text] if text else [])
