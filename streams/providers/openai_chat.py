"""OpenAI's chat completions, and every endpoint that speaks them, as a `Provider`."""

import httpx2
from openai import AsyncOpenAI, AsyncStream

from streams.providers.call import Call
from streams.providers.clock import SYSTEM_CLOCK, Clock
from streams.providers.endpoint import Connect, Endpoint
from streams.providers.errors import openai_error, openai_refusal
from streams.providers.openai_mapping import answer, request
from streams.providers.openai_transcript import Transcript
from streams.providers.openai_wire import Chunk, Completion
from streams.providers.protocol import Lost, Question, Reply

_PATH = "/chat/completions"
_REQUEST_ID = "x-request-id"


class OpenAIChat:
    """Takes over the client and closes it.

    The SDK says how it would ask, and what a refusal and a stream mean; the question goes past it, and the JSON is read
    here: `chat.completions.create` checks a request that is known to be right, rewrites the usage block, and takes any
    JSON for a completion. See docs/decisions/0012.
    """

    def __init__(self, client: AsyncOpenAI, connect: Connect, clock: Clock = SYSTEM_CLOCK) -> None:
        self._client = client
        self._endpoint = Endpoint(lambda: client.post(_PATH, cast_to=httpx2.Response, body={}), connect)
        self._clock = clock

    async def ask(self, question: Question) -> Reply:
        heard = Transcript()
        call = Call(question, heard, self._clock, openai_error)
        await call.run(self._hear(call, heard))
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
        await self._endpoint.close()
        await self._client.close()

    async def _hear(self, call: Call, heard: Transcript) -> None:
        received, asked = await self._endpoint.post(request(call.question), call)
        async with received:
            call.opened(received.header(_REQUEST_ID), answering=received.is_success)
            if not received.is_success:
                raise openai_refusal(received.as_response(asked), await received.said())
            if call.question.stream:
                await self._listen(call, heard, received.as_response(asked))
            else:
                heard.take(Completion.model_validate_json(await received.read()))

    async def _listen(self, call: Call, heard: Transcript, response: httpx2.Response) -> None:
        async with AsyncStream(cast_to=object, response=response, client=self._client) as stream:
            async for event in stream:
                if heard.add(Chunk.model_validate(event)):
                    call.spoke()
        if heard.finish is None:
            raise Lost("cut_stream", "The provider's answer ended before its end; try again.")
