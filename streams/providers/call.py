"""One call under way: bounded in time, measured, and ended by a typed error or not at all."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol
from urllib.parse import quote

from schemas.base import JsonObject
from streams.cost.tokens import guess_tokens
from streams.providers.clock import Clock
from streams.providers.errors import interrupted
from streams.providers.protocol import ProviderError, Question
from streams.providers.transport import connected_too_late

_CONNECT_TIMEOUT_S = 5.0
_MAX_HEADER_CHARS = 512  # what OpenAI accepts


class Transcript(Protocol):
    """What has been heard of the answer. `finish` is set by the frame that ends it."""

    began: bool
    finish: str | None
    usage: JsonObject | None

    @property
    def heard(self) -> str:
        """All words of the answer so far, those of tool calls included."""
        ...


class Call:
    """`to_error` turns any exception of the provider's SDK into one of ours, given the time."""

    def __init__(
        self,
        question: Question,
        transcript: Transcript,
        clock: Clock,
        to_error: Callable[[Exception, int], ProviderError],
    ) -> None:
        self.question = question
        self.provider_request_id: str | None = None
        self.first_token_ms: int | None = None
        self._transcript = transcript
        self._clock = clock
        self._to_error = to_error
        self._answering = False
        self._started_s = clock.monotonic_s()

    async def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Returns once the transcript holds a whole answer. Raises ProviderError; cancellation passes through."""
        try:
            async with asyncio.timeout(self.question.timeout_ms / 1_000):
                await work
        except Exception as error:  # noqa: BLE001 - the contract: nothing but a ProviderError gets out
            # The finishing frame makes the answer complete and paid for. Should the connection break after it, at
            # worst the usage is unknown; asking again would be paid for twice.
            streaming = self._answering and self.question.stream
            if streaming and self._transcript.finish is not None:
                return
            failure = self._to_error(error, self._clock.now_ms())
            failure.provider_request_id = failure.provider_request_id or self.provider_request_id
            failure.cut_short = self.connect_s < _CONNECT_TIMEOUT_S and connected_too_late(error)
            if streaming:
                failure = interrupted(failure, heard=self._transcript.began, usage=self._transcript.usage)
            if failure.ambiguous and self._answering:
                failure.answering = True
                failure.heard_tokens = guess_tokens(self._transcript.heard) if streaming else None
            # pydantic's errors quote their input and the SDKs' hold the request: neither may reach a log.
            raise failure from None

    def opened(self, provider_request_id: str | None, *, answering: bool) -> None:
        """The provider has answered with its headers; `answering`: and not with a refusal."""
        self.provider_request_id = provider_request_id
        self._answering = answering

    def spoke(self) -> None:
        """A part of the answer itself has arrived."""
        if self.first_token_ms is None:
            self.first_token_ms = round((self._clock.monotonic_s() - self._started_s) * 1_000)

    @property
    def connect_s(self) -> float:
        """For getting a connection, the host's name included; `run` bounds the whole.

        Half of the time at most: what ends there was never sent, and may be asked again for free.
        """
        return min(_CONNECT_TIMEOUT_S, self.question.timeout_ms / 2_000)

    @property
    def headers(self) -> dict[str, str]:
        """Ids are the producers' and may hold any letter; a header may not."""
        return {"X-Client-Request-Id": quote(self.question.attempt_id, safe="/:@")[:_MAX_HEADER_CHARS]}
