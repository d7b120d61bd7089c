"""What a statement is, as told by the engine's own parser: which part of a text is SQL and which part is rows.

The engine is asked twice about a text: for its canonical form (`formatQuerySingleLine`), in which strings and quoted
names can be blanked out safely, and for the place of its tokens (`highlightQuery`), which ends where rows begin.
The embedded engine opens files for INTO OUTFILE and FROM INFILE like a command line client does; a server refuses both.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sinks.embedded.errors import ClickHouseError

_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_FORMAT = re.compile(r" FORMAT (\w+)(?: SETTINGS .*)?$", re.DOTALL)
_FIRST_WORD = re.compile(r"[(]*(\w+)")
_HOST_FILES = (
    (re.compile(r" INTO OUTFILE ''"), "INTO OUTFILE"),
    (re.compile(r" FROM INFILE ''"), "FROM INFILE"),
    (re.compile(r"^ATTACH .* FROM ''"), "ATTACH ... FROM 'path'"),
)
_READING = frozenset({"SELECT", "WITH", "SHOW", "DESCRIBE", "EXISTS", "EXPLAIN", "CHECK"})
_WRITING = frozenset(
    {"INSERT", "CREATE", "ALTER", "DROP", "DELETE", "UPDATE", "TRUNCATE", "RENAME", "EXCHANGE", "OPTIMIZE", "ATTACH"}
    | {"DETACH", "UNDROP", "REPLACE", "SET", "USE", "SYSTEM", "KILL", "BACKUP", "RESTORE", "GRANT", "REVOKE", "MOVE"}
    | {"EXECUTE", "BEGIN", "COMMIT", "ROLLBACK"}
)


@dataclass(frozen=True, slots=True)
class Token:
    """Bytes `start` to `end` of a text, and what the parser took them for."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Command:
    """A statement that carries no rows. `format_name` is None when it names no output format."""

    reads: bool
    format_name: str | None


@dataclass(frozen=True, slots=True)
class RowInsert:
    """An INSERT whose rows follow it: `head` ends before the clauses SETTINGS and FORMAT, rows start at `rows_at`."""

    head: bytes
    settings: bytes
    format_name: str
    rows_at: int


Statement = Command | RowInsert


@dataclass(frozen=True, slots=True)
class Text:
    """What a request says: `first` from its URL, and on a new line `rest` from its body. Either may be empty."""

    first: bytes
    rest: bytes

    def __len__(self) -> int:
        return self._rest_at + len(self.rest)

    def head(self, length: int) -> bytes:
        if not self.first:
            return self.rest[:length]
        if not self.rest:
            return self.first[:length]
        return b"".join((self.first, b"\n", self.rest[: max(0, length - self._rest_at)]))[:length]

    def tail(self, start: int) -> memoryview:
        """Without a copy where it lies in the body, which is where large ones lie."""
        if start >= self._rest_at:
            return memoryview(self.rest)[start - self._rest_at :]
        return memoryview(self.head(len(self)))[start:]

    @property
    def _rest_at(self) -> int:
        return len(self.first) + 1 if self.first and self.rest else len(self.first)


def read_statement(text: bytes, canonical: str, tokens: Sequence[Token]) -> Statement:
    """`text` is a statement and, after an INSERT, any bytes. Raises ClickHouseError for what is not allowed here."""
    skeleton = _QUOTED.sub("''", canonical)
    for pattern, clause in _HOST_FILES:
        if pattern.search(skeleton):
            raise ClickHouseError(
                497,
                "ACCESS_DENIED",
                f"default: Not enough privileges. {clause} reaches files of the host and is not allowed over HTTP.",
            )
    first = _FIRST_WORD.match(skeleton)
    verb = "" if first is None else first[1]
    if verb not in _READING | _WRITING:
        raise ClickHouseError(
            48, "NOT_IMPLEMENTED", "The embedded engine does not run this kind of statement over HTTP."
        )
    named = _FORMAT.search(skeleton)
    if verb != "INSERT" or named is None:
        return Command(reads=verb in _READING, format_name=None if named is None else named[1])
    if not any(_keyword(text, token) == b"SELECT" for token in tokens):
        return _row_insert(text, tokens, named[1])
    if text[tokens[-1].end :].strip(b" \t\r\n;"):
        raise ClickHouseError(
            48,
            "NOT_IMPLEMENTED",
            "The embedded engine does not run INSERT ... SELECT with rows in the request.",
        )
    return Command(reads=False, format_name=None)


def _row_insert(text: bytes, tokens: Sequence[Token], format_name: str) -> RowInsert:
    """The last token is VALUES, or the name after FORMAT."""
    last = tokens[-1]
    format_at = (last if last.kind == "keyword" else tokens[-2]).start
    settings_at = next((token.start for token in tokens if _keyword(text, token) == b"SETTINGS"), format_at)
    return RowInsert(
        head=text[:settings_at],
        settings=text[settings_at:format_at],
        format_name=format_name,
        rows_at=_rows_start(text, last.end),
    )


def _keyword(text: bytes, token: Token) -> bytes:
    return text[token.start : token.end].upper() if token.kind == "keyword" else b""


def _rows_start(text: bytes, at: int) -> int:
    """Rows begin after the spaces that follow the format, and after one line end: more of either belongs to them."""
    while text[at : at + 1] in (b" ", b"\t", b"\f"):
        at += 1
    if text[at : at + 1] == b"\r":
        at += 1
    return at + 1 if text[at : at + 1] == b"\n" else at
