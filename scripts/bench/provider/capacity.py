"""How many answers a second the provider gives when nobody else is asked: well above what is measured with it."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from scripts.bench.cpu import cpu_s
from scripts.bench.provider.desk import set_pace, stats
from scripts.bench.provider.pace import Pace
from scripts.stack.ports import LOOPBACK

CONNECTIONS: Final = 64
_BODY: Final = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"%s"}]}' % (b"grain " * 100)
_QUESTION: Final = b"POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-length: %d\r\n\r\n%s" % (
    len(_BODY),
    _BODY,
)


@dataclass(frozen=True, slots=True)
class Capacity:
    """`answers_per_cpu_s` is what one core could give; `answers_per_s` is what came while we asked on the other."""

    answers_per_s: float
    answers_per_cpu_s: float


class _Asker(asyncio.Protocol):
    """Asks again as soon as it has heard anything: answers come in one piece, and a split one only asks early."""

    transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101  # which the type cannot say
        self.transport = transport
        transport.write(_QUESTION)

    def data_received(self, data: bytes) -> None:  # noqa: ARG002  # that it came is all that counts
        self.transport.write(_QUESTION)


def capacity(port: int, pid: int, seconds: float) -> Capacity:
    """Leaves the provider without any latency."""
    set_pace(port, Pace())
    before_s, start_s = cpu_s(pid), time.monotonic()
    asyncio.run(_ask_for(port, seconds))
    wall_s, used_s = time.monotonic() - start_s, cpu_s(pid) - before_s
    answered = stats(port).answered
    return Capacity(answered / wall_s, answered / used_s if used_s else 0)


async def _ask_for(port: int, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    askers = [(await loop.create_connection(_Asker, LOOPBACK, port))[1] for _ in range(CONNECTIONS)]
    await asyncio.sleep(seconds)
    for asker in askers:
        asker.transport.abort()
