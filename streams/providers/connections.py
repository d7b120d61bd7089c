"""Connections to one address over aiohttp, which do what they are told and nothing else."""

from collections.abc import Mapping
from functools import cache, lru_cache
from ssl import SSLContext

import aiohttp
import httpx2

from streams.providers.http import Answer

_IDLE_S = 5.0
"""A provider that closes an idle connection may do so while a question is on its way: that would be lost, and might be
billed. So ours are closed before.
"""


class Connections:
    """At most so many at once. No redirect is followed, no proxy asked, no cookie kept, nothing unpacked, nothing sent
    a second time; certificates are checked as the SDKs' own clients do.
    """

    def __init__(self, url: str, headers: Mapping[str, str], most: int) -> None:
        self._url = url
        self._headers = headers
        self._most = most
        self._session: aiohttp.ClientSession | None = None

    async def post(self, body: bytes, headers: Mapping[str, str], connect_s: float) -> Answer:
        if self._session is None:
            self._session = self._open()
        # aiohttp repeats only what is idempotent, which a POST is not
        received = await self._session.post(
            self._url, data=body, headers=headers, allow_redirects=False, timeout=_timeout(connect_s)
        )
        return Answer(received.status, received.headers, received.content, received.release)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=self._most, keepalive_timeout=_IDLE_S, ssl=_trusted())
        return aiohttp.ClientSession(
            connector=connector,
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )


@cache
def _trusted() -> SSLContext:
    return httpx2.create_ssl_context(trust_env=False)


@lru_cache
def _timeout(connect_s: float) -> aiohttp.ClientTimeout:
    """Whoever asks bounds the whole, and so every silence in it."""
    return aiohttp.ClientTimeout(total=None, connect=connect_s)
