"""One request at the engine: its body decoded, its statement understood, and then run on a connection of its own."""

from dataclasses import dataclass
from typing import assert_never

import orjson

from sinks.embedded.blocks import unpack_blocks
from sinks.embedded.coding import decode
from sinks.embedded.connection import Connection, Outcome
from sinks.embedded.errors import ClickHouseError
from sinks.embedded.insert import ONE_BLOCK, insert_rows
from sinks.embedded.request import QueryRequest
from sinks.embedded.statement import Command, RowInsert, Statement, Text, Token, read_statement

DEFAULT_FORMAT = "TabSeparated"
_DEFAULT_STATEMENT_BYTES = 262_144
# To find the rows of an INSERT takes 1 ms with this much of it, and 3 ms with all the parser would take.
_FIRST_LOOK_BYTES = 16_384
_GET_IS_READ_ONLY = "For queries over HTTP, method GET implies readonly. Use POST to change anything."
_UNDERSTAND = b"""
SELECT formatQuerySingleLine(text) AS canonical,
       if(startsWith(canonical, 'INSERT'), highlightQuery(text), []) AS tokens
FROM (SELECT unhex({text_hex:String}) AS text)
"""


@dataclass(frozen=True, slots=True)
class Job:
    """A request whose statement is known."""

    request: QueryRequest
    text: Text
    statement: Statement

    @property
    def reads(self) -> bool:
        return isinstance(self.statement, Command) and self.statement.reads


def decode_body(request: QueryRequest, body: bytes, limit: int) -> bytes:
    """Raises ClickHouseError when it is damaged, or longer than `limit` bytes."""
    if request.body_coding is not None:
        body = decode(request.body_coding, body, limit)
    return unpack_blocks(body, limit) if request.body_in_blocks else body


def understand(connection: Connection, request: QueryRequest, body: bytes) -> Job:
    """Raises ClickHouseError for a syntax error, and for what is not allowed over HTTP."""
    text = Text(request.statement, body)
    longest = dict(request.settings).get("max_query_size", str(_DEFAULT_STATEMENT_BYTES))
    connection.set([("max_query_size", longest)])
    limit = int(longest) if longest.isdigit() else _DEFAULT_STATEMENT_BYTES
    if len(text) > _FIRST_LOOK_BYTES:
        try:
            statement = _ask(connection, text.head(_FIRST_LOOK_BYTES))
        except ClickHouseError:
            pass
        else:
            if isinstance(statement, RowInsert) and statement.rows_at < _FIRST_LOOK_BYTES:
                return Job(request, text, statement)
    statement = _ask(connection, text.head(limit))
    if isinstance(statement, Command) and len(text) > limit:
        raise ClickHouseError(
            62,
            "SYNTAX_ERROR",
            f"Max query size exceeded: the statement is longer than {limit} bytes"
            " (can be increased with the `max_query_size` setting).",
        )
    return Job(request, text, statement)


def run(connection: Connection, job: Job) -> Outcome:
    """The connection must be new, and is of no use to another job afterwards. Raises ClickHouseError."""
    connection.set(_settings(job))
    if not job.request.read_only:
        return _outcome(connection, job)
    connection.set([("readonly", "2")])
    try:
        return _outcome(connection, job)
    except ClickHouseError as error:
        if error.name == "READONLY":
            raise ClickHouseError(error.code, error.name, f"{error.message} {_GET_IS_READ_ONLY}") from None
        raise


def _outcome(connection: Connection, job: Job) -> Outcome:
    match job.statement:
        case Command():
            default = job.request.default_format or DEFAULT_FORMAT
            return connection.query(job.text.head(len(job.text)), default)
        case RowInsert(rows_at=rows_at) as statement:
            return insert_rows(connection, statement, job.text.tail(rows_at))
        case _:
            assert_never(job.statement)


def _ask(connection: Connection, text: bytes) -> Statement:
    try:
        answer = connection.query(_UNDERSTAND, "JSONCompact", {"text_hex": text.hex()})
    except ClickHouseError as error:
        said, _, _ = error.message.partition(": In scope SELECT formatQuerySingleLine")
        raise ClickHouseError(error.code, error.name, said) from None
    ((canonical, tokens),) = orjson.loads(answer.data)["data"]
    return read_statement(
        text, canonical, [Token(int(token["begin"]), int(token["end"]), token["type"]) for token in tokens]
    )


def _settings(job: Job) -> list[tuple[str, str]]:
    """In the order in which they are made: what the client asks for comes last and so wins."""
    request = job.request
    return [
        ("log_comment", request.query_id),
        *([("database", request.database)] if request.database else []),
        *(ONE_BLOCK if isinstance(job.statement, RowInsert) else ()),
        *((f"param_{name}", value) for name, value in request.parameters),
        *sorted(request.settings, key=lambda setting: setting[0] == "readonly"),
    ]
