"""A text as whoever reads it will: without the characters that nobody sees, and with JSON's escapes for what they
stand for. Models read both as if they were not there.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from streams.content.matcher import Match, Matcher

_HIDDEN = re.compile(
    r'\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt])'
    "|[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]+"
)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class _Piece(NamedTuple):
    """Bytes of the text that are in the reading: as they are, or what the escape stands for."""

    start: int
    end: int
    is_escape: bool


class Reading:
    """`data` is what is read; positions in it are told as those in the bytes of the text itself."""

    def __init__(self, text: str) -> None:
        self._starts: list[int] = []
        self._pieces: list[_Piece] = []
        self._read: list[bytes] = []
        self._size = self._at = at = 0
        for found in _HIDDEN.finditer(text):
            self._take(text[at : found.start()].encode())
            self._take(found[0].encode(), meant=_meant(found[0]))
            at = found.end()
        self._take(text[at:].encode())
        self.data = b"".join(self._read)

    def _take(self, written: bytes, meant: bytes | None = None) -> None:
        read = written if meant is None else meant
        if read:
            self._starts.append(self._size)
            self._pieces.append(_Piece(self._at, self._at + len(written), meant is not None))
            self._read.append(read)
        self._size += len(read)
        self._at += len(written)

    def placed(self, start: int, end: int) -> Match:
        """Whole escapes, and all that is hidden in between."""
        first = bisect_right(self._starts, start) - 1
        last = bisect_right(self._starts, end - 1) - 1
        begun, ended = self._pieces[first], self._pieces[last]
        return Match(
            begun.start if begun.is_escape else begun.start + start - self._starts[first],
            ended.end if ended.is_escape else ended.start + end - self._starts[last],
        )

    def behind_escape(self, start: int) -> int:
        """Of what was found in the text as it is written: a letter of an escape is no beginning of a word."""
        at = bisect_right(self._pieces, start, key=lambda piece: piece.start) - 1
        piece = self._pieces[at] if at >= 0 else None
        return piece.end if piece is not None and piece.is_escape and piece.start < start < piece.end else start


def reading_of(text: str) -> Reading | None:
    """None where nothing is hidden, as nearly always: it reads as it is written."""
    return Reading(text) if _HIDDEN.search(text) is not None else None


class TextMatcher:
    """Finds what stands in a text as it is written, and as it is read."""

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher

    def is_in(self, text: str) -> bool:
        if self._matcher.is_in(text.encode()):
            return True
        reading = reading_of(text)
        return reading is not None and self._matcher.is_in(reading.data)

    def all(self, text: str) -> Iterator[Match]:
        """In the text's bytes, from left to right; what overlaps is one."""
        reading = reading_of(text)
        found = list(self._matcher.all(text.encode()))
        if reading is not None:
            found += [reading.placed(start, end) for start, end in self._matcher.all(reading.data)]
        until: Match | None = None
        for match in sorted(found):
            if until is not None and match.start < until.end:
                until = Match(until.start, max(until.end, match.end))
            else:
                if until is not None:
                    yield until
                until = match
        if until is not None:
            yield until


def _meant(hidden: str) -> bytes:
    if hidden[0] != "\\":
        return b""
    if hidden[1] != "u":
        return _ESCAPED.get(hidden[1], hidden[1]).encode()
    return chr(int.from_bytes(bytes.fromhex(hidden[2:]))).encode(errors="replace")
