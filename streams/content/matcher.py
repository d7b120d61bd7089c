"""RE2 as this package needs it: over bytes, where positions cost nothing. No text takes longer than its length."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import re2

_re2 = cast("Any", re2)
_OPTIONS = _re2.Options()
_OPTIONS.log_errors = False  # it would write to standard error, past our log; a large pattern is slower, and right
_OPTIONS.max_mem = 32 * 1024 * 1024


_NO_LETTER = r"[^\pL\pN_]"
"""RE2's own word boundary knows ASCII only."""


class Match(NamedTuple):
    """Bytes from `start` up to `end`."""

    start: int
    end: int


class Matcher:
    """Of several patterns the leftmost match counts, and of two at one place that of the earlier pattern."""

    def __init__(self, *patterns: str, group: int = 0) -> None:
        """`group`: of which group a match is told; 0: all of it."""
        self._compiled = _re2.compile("|".join(f"(?:{each})" for each in patterns), _OPTIONS)
        self._group = group

    def is_in(self, data: bytes) -> bool:
        return self._compiled.search(data) is not None

    def next(self, data: bytes, since: int = 0) -> Match | None:
        found = self._compiled.search(data, since)
        return None if found is None else Match(*found.span(self._group))

    def all(self, data: bytes) -> Iterator[Match]:
        """Those that are not empty and do not overlap, from left to right."""
        at = 0
        while at <= len(data) and (found := self.next(data, at)) is not None:  # from beyond the end RE2 finds the end
            if found.end > found.start:
                yield found
            at = max(found.end, found.start + 1)


def words(said: Sequence[str]) -> Matcher:
    """Whole words, in upper or lower case, of whatever script. Between those of a phrase there is any white space."""
    longest_first = "|".join(map(_phrase, sorted(said, key=len, reverse=True)))
    return Matcher(rf"(?i:(?:^|{_NO_LETTER})({longest_first})(?:{_NO_LETTER}|$))", group=1)


def _phrase(said: str) -> str:
    return r"\s+".join(cast("str", _re2.escape(each)) for each in said.split())
