"""What the model says: a pure function of the seed and the request.

The prompt's last user message may steer it: `[[answer:TEXT]]` is answered with the text word for word,
`[[answer_of:MODEL TEXT]]` by that model only, `[[tokens:N]]` with N tokens (8192 at most), and naming a tool, or
`[[tool:NAME]]`, calls it.
"""

from dataclasses import dataclass, replace
from typing import Literal

import orjson

from scripts.simulator import dice
from scripts.simulator.ask import Ask, Tool
from scripts.simulator.prices import Effort, Encoding
from scripts.simulator.prompt import commands
from scripts.simulator.prose import Prose
from scripts.simulator.sample import value
from scripts.simulator.shapes import Object
from scripts.simulator.tokens import NOTHING, Pieces, count, pieces

Finish = Literal["end", "length", "tools", "stop"]

LONGEST_ANSWER = 8_192
# OpenAI counts thinking in steps of 64.
_THINKING_STEP = 64
_THINKING_MEDIAN: dict[Effort, int] = {
    "none": 0,
    "minimal": 0,
    "low": 128,
    "medium": 384,
    "high": 1_024,
    "xhigh": 2_048,
}
_THINKING_SPREAD = 0.5
# JSON mode without a schema leaves the shape to the model.
_ANY_OBJECT: Object = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "confidence": {"type": "number", "minimum": 0, "maximum": 1}},
}


@dataclass(frozen=True, slots=True)
class ToolCall:
    """`key` is 24 hex digits, the same whenever the request is; `opening` are the tokens that name the tool."""

    key: str
    name: str
    opening: int
    arguments: Pieces

    @property
    def total(self) -> int:
        return self.opening + self.arguments.total


@dataclass(frozen=True, slots=True)
class Answer:
    text: Pieces = NOTHING
    calls: tuple[ToolCall, ...] = ()
    reasoning: int = 0
    finish: Finish = "end"
    stop: str | None = None

    @property
    def output(self) -> int:
        """Tokens the caller sees; thinking comes on top."""
        return self.text.total + sum(call.total for call in self.calls)


class Author:
    """Writes every answer of one simulator. Lengths are lognormal around `median_tokens`."""

    def __init__(self, seed: int, median_tokens: int, spread: float) -> None:
        self._seed = seed
        self._median = median_tokens
        self._spread = spread
        self._prose = Prose(seed, LONGEST_ANSWER)

    def compose(self, ask: Ask) -> Answer:
        answer = replace(self._content(ask), reasoning=self._thinking(ask))
        return _within(_stopped(answer, ask.stops, ask.model.encoding), ask.max_tokens)

    def _content(self, ask: Ask) -> Answer:
        said = commands(ask.text)
        steering, own = dict(said), _of_model(ask, said)
        encoding = ask.model.encoding
        if (literal := own or steering.get("answer")) is not None:
            return Answer(pieces(encoding, literal))
        if tools := wanted_tools(ask, steering.get("tool")):
            return Answer(calls=tuple(self._call(ask, tool, at) for at, tool in enumerate(tools)), finish="tools")
        if ask.schema is not None:
            sampled = value(ask.schema or _ANY_OBJECT, self._draw(ask, "schema"))
            return Answer(pieces(encoding, orjson.dumps(sampled).decode()))
        return Answer(self._prose.text(self._draw(ask, "text"), self._length(ask, steering.get("tokens"))))

    def _length(self, ask: Ask, demanded: str | None) -> int:
        if demanded is not None and demanded.strip().isdecimal():
            return int(demanded)
        drawn = dice.lognormal(self._median, self._spread, dice.unit(self._seed, ask.identity, "length"))
        return max(1, round(drawn))

    def _thinking(self, ask: Ask) -> int:
        median = _THINKING_MEDIAN[ask.effort]
        if not median:
            return 0
        drawn = dice.lognormal(median, _THINKING_SPREAD, dice.unit(self._seed, ask.identity, "thinking"))
        steps = max(1, round(drawn / _THINKING_STEP))
        return min(steps * _THINKING_STEP, ask.max_thinking or LONGEST_ANSWER)

    def _call(self, ask: Ask, tool: Tool, at: int) -> ToolCall:
        number = self._draw(ask, f"tool {at} {tool.name}")
        arguments = orjson.dumps(value({"type": "object"} | tool.schema, number)).decode()
        encoding: Encoding = ask.model.encoding
        key = f"{ask.identity.hex()[:8]}{number:016x}"
        return ToolCall(key, tool.name, count(encoding, tool.name), pieces(encoding, arguments))

    def _draw(self, ask: Ask, purpose: str) -> int:
        return dice.number(self._seed, ask.identity, purpose)


def _of_model(ask: Ask, said: list[tuple[str, str]]) -> str | None:
    """What this model, of all that may be asked the same, is to say."""
    for name, words in said:
        model, _, text = words.partition(" ")
        if name == "answer_of" and model in (ask.model.name, ask.asked_model):
            return text
    return None


def wanted_tools(ask: Ask, commanded: str | None) -> tuple[Tool, ...]:
    """The tools this request gets called: the demanded one, or those its last user message names."""
    choice = ask.choice
    if choice.mode == "none":
        return ()
    if choice.name is not None:
        return tuple(tool for tool in ask.tools if tool.name == choice.name)
    if choice.mode == "auto" and ask.answering_tools:
        return ()
    text = ask.text.lower()
    named = tuple(
        tool
        for tool in ask.tools
        if tool.name == commanded or tool.name.lower() in text or tool.name.lower().replace("_", " ") in text
    )
    if choice.mode == "required" and not named:
        named = ask.tools[:1]
    return named if choice.parallel else named[:1]


def _stopped(answer: Answer, stops: tuple[str, ...], encoding: Encoding) -> Answer:
    """The answer up to the first stop sequence in it, which is not part of the answer."""
    text = answer.text.text if stops else ""
    found = [(at, stop) for stop in stops if stop and (at := text.find(stop)) >= 0]
    if not found:
        return answer
    at, stop = min(found)
    return replace(answer, text=pieces(encoding, text[:at]), finish="stop", stop=stop)


def _within(answer: Answer, limit: int | None) -> Answer:
    """The answer cut off where it reaches the limit, thinking included."""
    if limit is None or answer.reasoning + answer.output <= limit:
        return answer
    reasoning = min(answer.reasoning, limit)
    left = limit - reasoning
    text = answer.text.first(left)
    left -= text.total
    calls: list[ToolCall] = []
    for call in answer.calls:
        if left < call.opening:
            break
        calls.append(replace(call, arguments=call.arguments.first(left - call.opening)))
        left -= calls[-1].total
    return Answer(text, tuple(calls), reasoning, "length")
