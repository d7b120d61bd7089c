"""HTTP/1.1 as clients with a pool speak it: whole requests out of whatever pieces arrive, and answers as bytes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

LARGEST_HEAD_BYTES: Final = 64 * 1024
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_END: Final = b"\r\n\r\n"


class NotSpoken(ValueError):
    """The peer speaks something else, or a part of HTTP that is left out here; the connection has to be closed."""


@dataclass(frozen=True, slots=True)
class Asked:
    """`target` is the path with its query. Headers other than the length are not looked at."""

    method: bytes
    target: bytes
    body: bytes


class Reader:
    """Bodies need a content-length: the SDKs, aiohttp and LiteLLM send one with every JSON body."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, piece: bytes) -> Iterator[Asked]:
        """The requests that are whole now. Raises NotSpoken."""
        held = self._held + piece if self._held else piece
        at = 0
        while (end := held.find(_END, at)) >= 0:
            found = _LENGTH.search(held, at, end + 2)
            begins = end + len(_END)
            ends = begins + (int(found[1]) if found else 0)
            if ends > len(held):
                break
            method, target = _first_line(held, at, end)
            if found is None and method in (b"POST", b"PUT"):
                raise NotSpoken("a body without a content-length")
            yield Asked(method, target, held[begins:ends])
            at = ends
        self._held = held[at:]
        if len(self._held) > LARGEST_HEAD_BYTES and _END not in self._held:
            raise NotSpoken("a head without an end")


def _first_line(held: bytes, at: int, end: int) -> tuple[bytes, bytes]:
    words = held[at : held.find(b"\r\n", at, end + 2)].split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):  # noqa: PLR2004  # method, target, version
        raise NotSpoken("no HTTP/1 request line")
    return words[0], words[1]


def answer(body: bytes, status: bytes = b"200 OK") -> bytes:
    """Kept alive. The request id is the same for all: nobody here looks anything up by it."""
    return b"HTTP/1.1 %s\r\ncontent-type: application/json\r\nx-request-id: bench\r\ncontent-length: %d\r\n\r\n%s" % (
        status,
        len(body),
        body,
    )
