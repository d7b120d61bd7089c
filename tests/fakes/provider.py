"""A provider in memory, held to the same contract as the real ones: it gives what it was told to give, in order."""

import asyncio
from collections import deque
from dataclasses import dataclass

from msgspec.structs import replace

from schemas.base import JsonObject
from schemas.response import Output
from streams.providers.protocol import Lost, ProviderError, Question, Reply


@dataclass(frozen=True, slots=True)
class Hang:
    """The provider takes the question and is silent until the time is up."""


Step = Reply | ProviderError | Hang

OPENAI_USAGE: JsonObject = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}


def saying(content: str, *, usage: JsonObject | None = OPENAI_USAGE) -> Reply:
    """A whole answer of plain text."""
    return Reply(
        output=Output(content=content),
        finish_reason="stop",
        model_reported="fake-1",
        provider_request_id="req_fake",
        service_tier="default",
        usage_raw=usage,
        usage_source="none" if usage is None else "provider",
        first_token_ms=None,
    )


class FakeProvider:
    """`script` is used up question by question; when it is, every question is answered with `otherwise`.

    `asked` holds every question. A `gate` holds answers back until it is set; `held` is set once it has held one.
    """

    def __init__(self, *script: Step, otherwise: Step | None = None) -> None:
        self.asked: list[Question] = []
        self.closed = False
        self.gate: asyncio.Event | None = None
        self.held = asyncio.Event()
        self._script = deque(script)
        self._otherwise = otherwise or saying("An answer.")

    def then(self, *steps: Step) -> None:
        self._script.extend(steps)

    async def ask(self, question: Question) -> Reply:
        self.asked.append(question)
        step = self._script.popleft() if self._script else self._otherwise
        try:
            async with asyncio.timeout(question.timeout_ms / 1_000):
                if self.gate is not None:
                    self.held.set()
                    await self.gate.wait()
                if isinstance(step, Hang):
                    await asyncio.Event().wait()
        except TimeoutError:
            raise Lost("timeout", "The provider did not answer in time: allow more time or ask for less.") from None
        match step:
            case Reply():
                return replace(step, first_token_ms=step.first_token_ms or 0) if question.stream else step
            case ProviderError():
                raise step
            case Hang():
                raise AssertionError("an event nobody sets has been set")

    async def close(self) -> None:
        self.closed = True
