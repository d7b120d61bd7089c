"""The worlds a provider is held to its contract in: one in memory, and the simulator behind each protocol."""

from typing import Literal, Protocol

from msgspec.structs import replace
from pydantic import SecretStr

from schemas.prompt import (
    FunctionDefinition,
    Params,
    Prompt,
    Tool,
    ToolMessage,
    UserMessage,
)
from schemas.response import FunctionCall, Output, ToolCall
from streams.providers.protocol import (
    Lost,
    Misconfigured,
    NotSent,
    Provider,
    Question,
    TurnedAway,
    Unacceptable,
)
from streams.providers.registry import Wiring, build
from tests.fakes.provider import FakeProvider, Hang, Step, saying

KEY = "sk-canary-0123456789"
CANARY = "the secret recipe is thyme"
ANSWER = "Thirty-two."
NOWHERE = "http://127.0.0.1:1"

Happening = Literal[
    "answer",
    "call",
    "rate limit",
    "overload",
    "failure",
    "no credit",
    "silence",
    "cut",
    "announced cut",
    "malformed",
    "unknown model",
    "wrong key",
    "bad question",
    "unreachable",
]

_COMMANDS: dict[Happening, str] = {
    "answer": f"[[answer:{ANSWER}]]",
    "call": "[[tool:weather]]",
    "rate limit": "[[fault:429 retry_after=2]]",
    "overload": "[[fault:529]]",
    "failure": "[[fault:500]]",
    "no credit": "[[fault:quota]]",
    "silence": "[[fault:hang]]",
    "cut": "[[tokens:40]] [[fault:cut after=10]]",
    "announced cut": "[[tokens:40]] [[fault:error after=10]]",
    "malformed": "[[tokens:40]] [[fault:malformed]]",
}
"""How a prompt makes the simulator do it; the rest is a matter of whom it is asked, and with which key."""

_TOLD = "told by the script"
_SCRIPTS: dict[Happening, Step] = {
    "answer": saying(ANSWER),
    "call": replace(
        saying(""),
        output=Output(
            tool_calls=(ToolCall(id="call_1", function=FunctionCall(name="weather", arguments='{"city":"Bern"}')),)
        ),
        finish_reason="tool_calls",
    ),
    "rate limit": TurnedAway("rate_limited", _TOLD, http_status=429, retry_after_ms=2_000),
    "overload": TurnedAway("overloaded", _TOLD, http_status=529),
    "failure": TurnedAway("server_error", _TOLD, http_status=500),
    "no credit": Misconfigured("permission", _TOLD, http_status=402),
    "silence": Hang(),
    "cut": Lost("cut_stream", _TOLD),
    "announced cut": Lost("cut_stream", _TOLD),
    "malformed": Lost("malformed_response", _TOLD),
    "unknown model": Misconfigured("not_found", _TOLD, http_status=404),
    "wrong key": Misconfigured("authentication", _TOLD, http_status=401),
    "bad question": Unacceptable("bad_request", _TOLD, http_status=400),
    "unreachable": NotSent("connection", _TOLD),
}

WEATHER = Tool(
    function=FunctionDefinition(
        name="weather",
        parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    )
)


class World(Protocol):
    """`dialect` is how its usage block is written."""

    dialect: Literal["openai", "anthropic"]
    model: str

    def provider(self, happening: Happening) -> Provider:
        """One to which this will happen, as long as the question that goes with it is asked."""
        ...

    async def close(self) -> None: ...


class InMemory:
    dialect: Literal["openai", "anthropic"] = "openai"
    model = "fake-1"

    def provider(self, happening: Happening) -> Provider:
        return FakeProvider(_SCRIPTS[happening])

    async def close(self) -> None:
        """Nothing is open."""


class OverTheWire:
    """The real adapter against the provider simulator."""

    def __init__(self, dialect: Literal["openai", "anthropic"], model: str, base_url: str) -> None:
        self.dialect: Literal["openai", "anthropic"] = dialect
        self.model = model
        self._base_url = base_url
        self._open: list[Provider] = []

    def provider(self, happening: Happening) -> Provider:
        key = "sk-somebody-elses" if happening == "wrong key" else KEY
        base_url = NOWHERE if happening == "unreachable" else self._base_url
        provider = build(Wiring(self.dialect, base_url, SecretStr(key)))
        self._open.append(provider)
        return provider

    async def close(self) -> None:
        for provider in self._open:
            await provider.close()


def question(happening: Happening, model: str, *, stream: bool = False, timeout_ms: int = 20_000) -> Question:
    text = UserMessage(role="user", content=f"{CANARY} {_COMMANDS.get(happening, '')}")
    prompt = Prompt(messages=(text,))
    match happening:
        case "call":
            prompt = Prompt(messages=(text,), params=Params(tools=(WEATHER,)))
        case "bad question":
            stray = ToolMessage(role="tool", content=CANARY, tool_call_id="call_of_nobody")
            prompt = Prompt(messages=(text, stray))
        case "unknown model":
            model = f"{model}-nobody-has"
        case _:
            pass
    return Question(f"acme/{happening}/1", model, prompt, stream=stream, timeout_ms=timeout_ms)
