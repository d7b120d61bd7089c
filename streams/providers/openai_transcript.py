"""A chat completion as it is heard: at once, or put together chunk by chunk."""

from dataclasses import dataclass, field

from schemas.base import JsonObject
from schemas.response import FunctionCall, ToolCall
from streams.providers.openai_wire import CallDelta, Chunk, Completion


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list[str])


@dataclass(slots=True)
class Transcript:
    """`finish` is set by the frame that ends the answer; `usage` comes in the one after it."""

    began: bool = False
    finish: str | None = None
    usage: JsonObject | None = None
    model: str | None = None
    service_tier: str | None = None
    _content: list[str] = field(default_factory=list[str])
    _refusal: list[str] = field(default_factory=list[str])
    _calls: dict[int, _Call] = field(default_factory=dict[int, _Call])

    def take(self, completion: Completion) -> None:
        choice = completion.choices[0]
        self.began = True
        self.finish = choice.finish_reason
        self._note(completion)
        self._content.append(choice.message.content or "")
        self._refusal.append(choice.message.refusal or "")
        for index, call in enumerate(choice.message.tool_calls or ()):
            self._calls[index] = _Call(call.id, call.function.name, [call.function.arguments])

    def add(self, chunk: Chunk) -> bool:
        """Whether the chunk brought something of the answer itself."""
        self.began = True
        self._note(chunk)
        if not chunk.choices:
            return False
        choice = chunk.choices[0]
        delta = choice.delta
        self.finish = choice.finish_reason or self.finish
        self._content.append(delta.content or "")
        self._refusal.append(delta.refusal or "")
        for call in delta.tool_calls or ():
            self._add_call(call)
        return bool(delta.content or delta.refusal or delta.tool_calls)

    def _note(self, said: Completion | Chunk) -> None:
        self.model = said.model or self.model
        self.service_tier = said.service_tier or self.service_tier
        self.usage = said.usage or self.usage

    def _add_call(self, delta: CallDelta) -> None:
        call = self._calls.setdefault(delta.index, _Call())
        call.id = delta.id or call.id
        call.name = delta.function.name or call.name
        call.arguments.append(delta.function.arguments or "")

    @property
    def content(self) -> str:
        return "".join(self._content)

    @property
    def refusal(self) -> str:
        return "".join(self._refusal)

    @property
    def heard(self) -> str:
        called = (text for call in self._calls.values() for text in (call.name, *call.arguments))
        return "".join((*self._content, *self._refusal, *called))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(
            ToolCall(id=call.id, function=FunctionCall(name=call.name, arguments="".join(call.arguments)))
            for _, call in sorted(self._calls.items())
        )
