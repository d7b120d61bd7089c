"""Where a deployment is asked, and how: as its SDK would, without asking the SDK every time."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping

import httpx2
from typing_extensions import override

from schemas.base import dump_json
from streams.providers.call import Call
from streams.providers.http import Answer, Http

Rehearse = Callable[[], Awaitable[httpx2.Response]]
"""Sends an empty question through the SDK, whose transport is a `Rehearsal`."""

Connect = Callable[[str, Mapping[str, str]], Http]
"""The way to an address, with the headers of every request."""

_OF_ONE_REQUEST = frozenset({"host", "connection", "content-length", "x-stainless-timeout", "x-stainless-read-timeout"})
"""What HTTP adds by itself, and what the SDKs tell of a timeout that is not the call's."""


class Rehearsal(httpx2.AsyncBaseTransport):
    """In the place of a network: the SDK makes its request, address and credentials and all, and nothing is sent."""

    @override
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json={})


class Endpoint:
    """The SDK's request is made once and used for every call: it takes three times as long as the call itself, and all
    that differs is the question and its id.
    """

    def __init__(self, rehearse: Rehearse, connect: Connect) -> None:
        self._rehearse = rehearse
        self._connect = connect
        self._preparing = asyncio.Lock()
        self._prepared: tuple[httpx2.Request, Http] | None = None

    async def post(self, question: dict[str, object], call: Call) -> tuple[Answer, httpx2.Request]:
        """Returns when the answer has begun. The request is the one that was rehearsed, for the SDK's own classes."""
        request, http = self._prepared or await self._prepare()
        return await http.post(_json(question), call.headers, call.connect_s), request

    async def close(self) -> None:
        if self._prepared is not None:
            await self._prepared[1].close()

    async def _prepare(self) -> tuple[httpx2.Request, Http]:
        async with self._preparing:
            if self._prepared is None:
                request = (await self._rehearse()).request
                headers = {
                    name: value for name, value in request.headers.items() if name.lower() not in _OF_ONE_REQUEST
                }
                self._prepared = request, self._connect(str(request.url), headers)
            return self._prepared


def _json(question: dict[str, object]) -> bytes:
    try:
        return dump_json(question)
    except TypeError:  # a tool call's arguments may be nested deeper than orjson writes, though it has read them
        return json.dumps(question, ensure_ascii=False, separators=(",", ":")).encode()
