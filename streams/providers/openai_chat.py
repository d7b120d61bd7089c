"""OpenAI's chat completions, and every endpoint that speaks them, as a `Provider`."""

import httpx2
from openai import AsyncOpenAI, AsyncStream, RequestOptions

from streams.providers.call import Call
from streams.providers.clock import SYSTEM_CLOCK, Clock
from streams.providers.errors import openai_error
from streams.providers.openai_mapping import answer, request
from streams.providers.openai_transcript import Transcript
from streams.providers.openai_wire import Chunk, Completion
from streams.providers.protocol import Lost, Question, Reply

_PATH = "/chat/completions"
_REQUEST_ID = "x-request-id"


class OpenAIChat:
    """Takes over the client and closes it.

    It posts through the SDK and reads the JSON itself: `chat.completions.create` takes twice the CPU to check a
    request that is known to be right, rewrites the usage block, and takes any JSON for a completion.
    """

    def __init__(self, client: AsyncOpenAI, clock: Clock = SYSTEM_CLOCK) -> None:
        self._client = client
        self._clock = clock

    async def ask(self, question: Question) -> Reply:
        heard = Transcript()
        call = Call(question, heard, self._clock, openai_error)
        await call.run(self._stream(call, heard) if question.stream else self._whole(call, heard))
        output, finish_reason = answer(question, heard)
        return Reply(
            output=output,
            finish_reason=finish_reason,
            model_reported=heard.model,
            provider_request_id=call.provider_request_id,
            service_tier=heard.service_tier,
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
        heard.take(Completion.model_validate_json(response.content))

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
                if heard.add(Chunk.model_validate(event)):
                    call.spoke()
        if heard.finish is None:
            raise Lost("cut_stream", "The provider's answer ended before its end; try again.")


def _options(call: Call) -> RequestOptions:
    return {"timeout": call.timeouts, "headers": call.headers}
