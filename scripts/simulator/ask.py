"""What a request asks for in terms both protocols share, and what a refused one is told."""

from dataclasses import dataclass
from typing import Literal

from scripts.simulator.prices import Effort, Model
from scripts.simulator.prompt import Prompt
from scripts.simulator.shapes import Object

RefusalKind = Literal[
    "invalid",
    "unauthenticated",
    "unknown_model",
    "unknown_path",
    "too_large",
    "rate_limited",
    "out_of_credit",
    "broken",
    "overloaded",
]


@dataclass(frozen=True, slots=True)
class Refusal:
    """`param` and `code` are OpenAI's; Anthropic's error type follows from the kind."""

    status: int
    kind: RefusalKind
    message: str
    param: str | None = None
    code: str | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    schema: Object


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """`auto` lets the prompt decide; `name` is set when one tool is demanded."""

    mode: Literal["none", "auto", "required"] = "auto"
    name: str | None = None
    parallel: bool = True


@dataclass(frozen=True, slots=True)
class Ask:
    """`schema` is set when JSON is demanded; an empty one allows any object. `effort` is how hard to think."""

    model: Model
    asked_model: str
    identity: bytes
    prompt: Prompt
    text: str
    stream: bool = False
    stream_usage: bool = False
    max_tokens: int | None = None
    stops: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    choice: ToolChoice = ToolChoice()
    answering_tools: bool = False
    schema: Object | None = None
    effort: Effort = "none"
    max_thinking: int | None = None
    vectors: tuple[str, ...] = ()
    dimensions: int = 0
    base64: bool = False


def invalid(message: str, param: str | None = None, code: str | None = None) -> Refusal:
    return Refusal(400, "invalid", message, param, code)
