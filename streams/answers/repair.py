"""Mends JSON that a model nearly wrote, without guessing: what is mended says nothing that was not there.

Taken: words around it, a code fence, commas too many or too few, single quotes, names without quotes, comments,
Python's words, line breaks inside strings, an end that is missing. Not taken: quotes inside quotes, unknown words, what
is closed by the wrong bracket, and what stands in brackets as prose has it, such as [1].

Reads the text once, so a hostile one takes no longer than another of its length: the libraries for this take ten
seconds for twenty kilobytes of `{'{'`.
"""

import re
from dataclasses import dataclass, field
from typing import Literal

from pydantic import JsonValue

from schemas.base import dump_json, load_json

MOST_CHARS = 1_000_000
_DEEPEST = 100
Kind = Literal["object", "array", "any"]
"""What was asked for. Any: an object rather than an array, as where JSON is asked for without a schema."""
_BRACKET = re.compile(r"[{\[]")
_ASIDE = re.compile(r"""\[[^"'`{}\[\]]++(?:(?<=\w)(?='\w)'[^"'`{}\[\]]*+)*+\]|\{[^"'`:{}\[\],]+\}""")
"""A reference, a link, a word of a template: of an object it is none, and an array only where nothing else is."""
_BEFORE = re.compile(r"\s*(?:(?:```|~~~)\w*\s*)?")
_ANNOUNCED_CHARS = 8
_BEHIND = re.compile(r"\s*(?:```|~~~)?\s*")
_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*|\#[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<double>"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z))
    |(?P<single>'[^'\\]*+(?:\\.[^'\\]*+)*+(?:'|\\?\Z))
    |(?P<mark>[{}\[\],:])
    |(?P<word>[^\s{}\[\],:"']+)""",
    re.VERBOSE | re.DOTALL,
)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_NAME = re.compile(r"[A-Za-z_$][\w$-]*")
_WORDS = {"true": "true", "false": "false", "null": "null", "True": "true", "False": "false", "None": "null"}
_SPECIAL = re.compile(r'\\(u[0-9a-fA-F]{4}|.?)|["\x00-\x1f]', re.DOTALL)
_BROKEN_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)\\(?:u[0-9a-fA-F]{0,3})?\Z")
_ESCAPES = frozenset('"\\/bfnrt')
_CLOSERS = {"{": "}", "[": "]"}


class Unmendable(ValueError):
    """What is there cannot be taken for JSON."""


def mended(text: str, kind: Kind = "any") -> JsonValue:
    """The first value of that kind in the text, and never a part of one. Raises Unmendable."""
    if len(text) > MOST_CHARS:
        raise Unmendable
    at, array, is_first = 0, "", True
    while (bracket := _BRACKET.search(text, at)) is not None:
        start = bracket.start()
        aside = _ASIDE.match(text, start)
        is_meant = text[start] == "[" and (
            _is_announced(text, start, kind) or (is_first and _is_all(text, aside, start))
        )
        is_first = False
        if aside is not None and not is_meant:
            at = aside.end()
            continue
        writer = _Writer()
        written, at = writer.write(text, start)
        if (text[start] == "{") == (kind != "array"):
            return _value(written)
        if kind == "any":
            array = array or written
    return _value(array)


def _is_announced(text: str, start: int, kind: Kind) -> bool:
    return kind == "array" and text[max(start - _ANNOUNCED_CHARS, 0) : start].rstrip().endswith(":")


def _is_all(text: str, aside: re.Match[str] | None, start: int) -> bool:
    """But for a fence around it."""
    if aside is None or _BEFORE.fullmatch(text, 0, start) is None:
        return False
    return _BEHIND.fullmatch(text, aside.end()) is not None


def _value(written: str) -> JsonValue:
    try:
        return load_json(written)
    except ValueError:
        raise Unmendable from None


@dataclass(slots=True)
class _Writer:
    """Strict JSON, piece by piece. `key`: one is written that has no value yet, and is taken back when none comes."""

    pieces: list[str] = field(default_factory=list[str])
    open: list[str] = field(default_factory=list[str])
    needs_comma: bool = False
    key: str | None = None
    has_colon: bool = False

    def write(self, text: str, at: int) -> tuple[str, int]:
        """And where it ends in the text."""
        before: re.Match[str] | None = None
        while at < len(text):
            token = _TOKEN.match(text, at)
            if token is None:
                raise Unmendable
            at = token.end()
            kind, said = token.lastgroup, token[0]
            before = before if kind == "space" else _unsplit(before, token)
            if kind == "mark":
                self._mark(said)
                if not self.open:
                    break
            elif kind in {"double", "single"}:
                self._text(_string(said), is_cut=at == len(text) and not _is_closed(said))
            elif kind == "word":
                self._word(said, is_last=at == len(text))
        if self.open and len(self.pieces) == 1:  # and all that was begun is left out
            raise Unmendable
        while self.open:  # the end is missing
            self._close()
        return "".join(self.pieces), at

    def _mark(self, mark: str) -> None:
        match mark:
            case "{" | "[":
                self._value(mark)
                self.open.append(mark)
                self.needs_comma = False
                if len(self.open) > _DEEPEST:
                    raise Unmendable
            case ":":
                if self.key is None or self.has_colon:
                    raise Unmendable
                self.has_colon = True
            case ",":
                if self.key is not None:
                    raise Unmendable
            case _:
                if mark != _CLOSERS[self.open[-1]] or self.key is not None:
                    raise Unmendable
                self._close()

    def _close(self) -> None:
        self.key, self.has_colon = None, False
        self.pieces.append(_CLOSERS[self.open.pop()])
        self.needs_comma = True

    def _text(self, written: str, *, is_cut: bool) -> None:
        if self.open[-1] == "{" and self.key is None:
            if not is_cut:  # of a name that broke off nobody knows what it was to be
                self.key = written
            return
        self._value(written)

    def _word(self, word: str, *, is_last: bool) -> None:
        if self.open[-1] == "{" and self.key is None:
            if _NAME.fullmatch(word) is None:
                raise Unmendable
            if not is_last:
                self.key = dump_json(word).decode()
            return
        value = _WORDS.get(word)
        if value is None and _NUMBER.fullmatch(word) is not None and not is_last:
            value = word
        if value is not None:
            self._value(value)
        elif not is_last:  # broken off in the middle: left out, with its name
            raise Unmendable

    def _value(self, written: str) -> None:
        if not self.open and self.pieces:
            raise Unmendable
        if self.needs_comma:
            self.pieces.append(",")
        if self.open and self.open[-1] == "{":
            if self.key is None or not self.has_colon:
                raise Unmendable
            self.pieces += (self.key, ":")
            self.key, self.has_colon = None, False
        self.pieces.append(written)
        self.needs_comma = True


def _unsplit(before: re.Match[str] | None, token: re.Match[str]) -> re.Match[str]:
    """The token, unless a quote inside quotes has split a text: its pieces touch what is between them, or begin or end
    in space. Where a comma is missing there is space between two values, and not inside them. Raises Unmendable.
    """
    if before is None or before.lastgroup == "mark" or token.lastgroup == "mark":
        return token
    ends = before[0][-2:-1] if before.lastgroup != "word" else ""
    begins = token[0][1:2] if token.lastgroup != "word" else ""
    if before.end() == token.start() or ends.isspace() or begins.isspace():
        raise Unmendable
    return token


def _is_closed(said: str) -> bool:
    inner = said[:-1]
    return len(said) > 1 and said[-1] == said[0] and (len(inner) - len(inner.rstrip("\\"))) % 2 == 0


def _string(said: str) -> str:
    """Between double quotes, with what JSON wants escaped. A character that broke off in its escape is left out."""
    inner = said[1:-1] if _is_closed(said) else _BROKEN_ESCAPE.sub(r"\1", said[1:])
    return f'"{_SPECIAL.sub(_escaped, inner)}"'


def _escaped(found: re.Match[str]) -> str:
    """One that JSON does not know stands for what it escapes: the single quote is such a one."""
    whole, after = found[0], found[1]
    if after is None:
        return '\\"' if whole == '"' else f"\\u{ord(whole):04x}"
    if len(after) > 1 or after in _ESCAPES:
        return whole
    return f"\\u{ord(after):04x}" if after and after < " " else after
