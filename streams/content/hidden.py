"""A text as whoever reads it will: without the characters that nobody sees, with JSON's escapes for what they stand
for, which is nothing where it is such a character, and with plain spaces, hyphens, digits and letters for those that
look the same. Models read all of it as if it had been written so.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from streams.content.matcher import Match, Matcher

_UNSEEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Unicode's Default_Ignorable_Code_Point, and the marks of interlinear annotation. Other format characters are seen."""
_SPACES, _HYPHENS = "\u00a0\u2000-\u200a\u202f\u205f\u3000", "\u2010\u2011"
_WIDE = "\uff0b\uff0d\uff0e\uff10-\uff19\uff20-\uff3a\uff3f\uff41-\uff5a"
"""Of the full width, what the values that are looked for are made of."""
_PLAIN = {
    **dict.fromkeys((0xA0, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000), " "),
    **dict.fromkeys((0x2010, 0x2011), "-"),
    **{wide: chr(wide - 0xFEE0) for wide in range(0xFF01, 0xFF5F) if re.match(f"[{_WIDE}]", chr(wide))},
}
_PAIR = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPE = rf'{_PAIR}|\\(?:u[0-9a-fA-F]{{4}}|["\\/bfnrt])'
_ESCAPES = re.compile(_ESCAPE)
_HIDDEN = re.compile(f"[{_UNSEEN}]+")
_TOKENS = re.compile(f"{_ESCAPE}|[{_UNSEEN}]+|[{_SPACES}{_HYPHENS}{_WIDE}]")
_ONE_ESCAPE = re.compile(_ESCAPE.encode())
_LONGEST_BEFORE = 5
"""Bytes of an escape that may stand before one of its own letters."""
_BACKSLASH = 0x5C
_SHORT = {
    r"\n": "\n",
    r"\"": '"',
    r"\\": "\\",
    r"\t": "\t",
    r"\/": "/",
    r"\r": "\r",
    r"\b": "\b",
    r"\f": "\f",
}
_SHORT_CHARS = 2


class Reading:
    """`written` is the text as it is, of so many `chars`. `read` is what is read: None where that is the same, as it
    nearly always is. Made once of a text, whatever is looked for in it.
    """

    __slots__ = ("_text", "chars", "read", "written")

    def __init__(self, text: str, *, depth: int = 1) -> None:
        """`depth`: how often what is read is read again, as JSON in a string of JSON is."""
        self._text = text
        self.chars = len(text)
        self.written = text.encode()
        is_read = depth > 0 and _TOKENS.search(text) is not None
        self.read: Reading | None = Reading(as_read(text), depth=depth - 1) if is_read else None

    def has(self, matcher: Matcher) -> bool:
        return matcher.is_in(self.written) or (self.read is not None and self.read.has(matcher))

    def all(self, matcher: Matcher) -> Iterator[Match]:
        """In the bytes that are written, from left to right; what overlaps is one."""
        found = list(matcher.all(self.written))
        if self.read is not None:
            found += self.placed(list(self.read.all(matcher)))
        return _joined(sorted(found))

    def placed(self, found: Sequence[tuple[int, int]]) -> list[Match]:
        """Where in what is written that is which was found in what is read, from left to right and apart: whole
        escapes, and all that is hidden in between.
        """
        edges = [at for start, end in found for at in (start, end - 1)]
        places = list(self._places(edges))
        return [Match(first[0], last[1]) for first, last in zip(places[::2], places[1::2], strict=True)]

    def _places(self, edges: Iterable[int]) -> Iterator[tuple[int, int]]:
        """From where to where that is written of which these bytes are read, in the order of the text. One walk for
        all of them: to remember where each escape stands would take a hundred times as much as the text.
        """
        at = written = read = 0
        plain, long, width = 0, 0, 0  # bytes as they are, and those of the token behind them: written, and read
        tokens = _TOKENS.finditer(self._text)
        for edge in edges:
            while edge >= read + plain + width:
                written, read = written + plain + long, read + plain + width
                token = next(tokens, None)
                if token is None:
                    plain, long, width = len(self.written) - written, 0, 0
                    break
                start, end = token.span()
                plain = len(self._text[at:start].encode()) if start > at else 0
                long, width = (2, 1) if end - start == _SHORT_CHARS and token[0] in _SHORT else _sizes(token)
                at = end
            begun = written + edge - read
            yield (begun, begun + 1) if edge < read + plain else (written + plain, written + plain + long)

    def behind_escape(self, start: int) -> int:
        """Of what was found in the text as it is written: a letter of an escape is no beginning of a word."""
        at = self.written.rfind(b"\\", max(start - _LONGEST_BEFORE, 0), start)
        escape = _ONE_ESCAPE.match(self.written, at) if at >= 0 else None
        if escape is None or escape.end() <= start:
            return start
        begun = at
        while begun > 0 and self.written[begun - 1] == _BACKSLASH:
            begun -= 1
        return start if (at - begun) % 2 else escape.end()


def as_read(text: str) -> str:
    return _HIDDEN.sub("", _ESCAPES.sub(_meant, text)).translate(_PLAIN)


def _sizes(token: re.Match[str]) -> tuple[int, int]:
    """In bytes: as it is written, and as it is read."""
    return len(token[0].encode()), len(as_read(token[0]).encode())


def _meant(escape: re.Match[str]) -> str:
    """What is half of a character stands for the sign that says so."""
    said = escape[0]
    return _SHORT.get(said) or bytes.fromhex(said.replace(r"\u", "")).decode("utf-16-be", "replace")


def _joined(found: Iterable[Match]) -> Iterator[Match]:
    until: Match | None = None
    for match in found:
        if until is not None and match.start < until.end:
            until = Match(until.start, max(until.end, match.end))
        else:
            if until is not None:
                yield until
            until = match
    if until is not None:
        yield until
