"""Anthropic's messages as a `Provider`."""

import httpx2
from anthropic import AsyncAnthropic, AsyncStream, RequestOptions

from streams.providers.anthropic_mapping import answer, request
from streams.providers.anthropic_transcript import Transcript
from streams.providers.anthropic_wire import Message, StreamEvent
from streams.providers.call import Call
from streams.providers.clock import SYSTEM_CLOCK, Clock
from streams.providers.errors import anthropic_error
from streams.providers.protocol import Lost, Question, Reply

_PATH = "/v1/messages"
_REQUEST_ID = "request-id"


class AnthropicMessages:
    """Takes over the client and closes it. Posts through the SDK and reads the JSON itself, as `OpenAIChat` does."""

    def __init__(self, client: AsyncAnthropic, clock: Clock = SYSTEM_CLOCK) -> None:
        self._client = client
        self._clock = clock

    async def ask(self, question: Question) -> Reply:
        heard = Transcript()
        call = Call(question, heard, self._clock, anthropic_error)
        await call.run(self._stream(call, heard) if question.stream else self._whole(call, heard))
        output, finish_reason = answer(heard)
        tier = (heard.usage or {}).get("service_tier")
        return Reply(
            output=output,
            finish_reason=finish_reason,
            model_reported=heard.model,
            provider_request_id=call.provider_request_id,
            service_tier=tier if isinstance(tier, str) else None,
            usage_raw=heard.usage,
            usage_source="none" if heard.usage is None else "provider",
            first_token_ms=call.first_token_ms,
        )

    async def close(self) -> None:
        await self._client.close()

    async def _whole(self, call: Call, heard: Transcript) -> None:
        response = await self._client.post(
            _PATH, cast_to=httpx2.Response, body=request(call.question), options=_options(call)
        )
        call.opened(response.headers.get(_REQUEST_ID), streaming=False)
        heard.take(Message.model_validate_json(response.content))

    async def _stream(self, call: Call, heard: Transcript) -> None:
        stream = await self._client.post(
            _PATH,
            cast_to=object,
            body=request(call.question),
            options=_options(call),
            stream=True,
            stream_cls=AsyncStream[object],
        )
        call.opened(stream.response.headers.get(_REQUEST_ID), streaming=True)
        async with stream:
            async for event in stream:
                if heard.add(StreamEvent.model_validate(event)):
                    call.spoke()
        if heard.finish is None:
            raise Lost("cut_stream", "The provider's answer ended before its end; try again.")


def _options(call: Call) -> RequestOptions:
    return {"timeout": call.timeouts, "headers": call.headers}
