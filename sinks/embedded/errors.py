"""ClickHouse's own errors: a number, a name and a sentence, the HTTP status they travel with, the text clients read."""

import re
from http import HTTPStatus

_PREFIX = re.compile(r"(?:Code: ([0-9]{1,9})\. DB::(?:\w*)Exception: )+")
_SUFFIX = re.compile(r"(?:[.,]*\s*\(([A-Z][A-Z0-9_]*)\)(?:\s*\(version [^)]*\))?)+\.?\s*$")

_LONGEST_SUFFIX = 500
"""Looked for no further from the end: clients have their own words repeated in errors, as long as they like."""

# The names ClickHouse's HTTP handler gives a status of their own; every other error is a 500.
_STATUS_OF_NAMES = {
    HTTPStatus.UNAUTHORIZED: "REQUIRED_PASSWORD",
    HTTPStatus.FORBIDDEN: "UNKNOWN_USER WRONG_PASSWORD AUTHENTICATION_FAILED SET_NON_GRANTED_ROLE ACCESS_DENIED",
    HTTPStatus.BAD_REQUEST: (
        "BAD_ARGUMENTS CANNOT_COMPILE_REGEXP CANNOT_PARSE_TEXT CANNOT_PARSE_ESCAPE_SEQUENCE"
        " CANNOT_PARSE_QUOTED_STRING CANNOT_PARSE_DATE CANNOT_PARSE_DATETIME CANNOT_PARSE_NUMBER"
        " CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING CANNOT_PARSE_IPV4 CANNOT_PARSE_IPV6"
        " CANNOT_PARSE_INPUT_ASSERTION_FAILED CANNOT_PARSE_UUID DUPLICATE_COLUMN ILLEGAL_COLUMN"
        " UNKNOWN_ELEMENT_IN_AST UNKNOWN_TYPE_OF_AST_NODE THERE_IS_NO_COLUMN TOO_DEEP_AST TOO_BIG_AST"
        " UNEXPECTED_AST_STRUCTURE SYNTAX_ERROR INCORRECT_DATA TYPE_MISMATCH VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE"
    ),
    HTTPStatus.NOT_FOUND: (
        "UNKNOWN_TABLE UNKNOWN_FUNCTION UNKNOWN_IDENTIFIER UNKNOWN_TYPE UNKNOWN_STORAGE UNKNOWN_DATABASE"
        " UNKNOWN_SETTING UNKNOWN_DIRECTION_OF_SORTING UNKNOWN_AGGREGATE_FUNCTION UNKNOWN_FORMAT"
        " UNKNOWN_DATABASE_ENGINE UNKNOWN_TYPE_OF_QUERY UNKNOWN_ROLE"
    ),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "QUERY_IS_TOO_LARGE",
    HTTPStatus.NOT_IMPLEMENTED: "NOT_IMPLEMENTED",
    # A server answers 500 when it is full. Clients repeat a 503 by themselves, and being full passes.
    HTTPStatus.SERVICE_UNAVAILABLE: (
        "SOCKET_TIMEOUT CANNOT_OPEN_FILE CANNOT_SCHEDULE_TASK TOO_MANY_SIMULTANEOUS_QUERIES"
    ),
    HTTPStatus.LENGTH_REQUIRED: "HTTP_LENGTH_REQUIRED",
    HTTPStatus.REQUEST_TIMEOUT: "TIMEOUT_EXCEEDED",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "UNSUPPORTED_MEDIA_TYPE",
}
_STATUSES = {name: status for status, names in _STATUS_OF_NAMES.items() for name in names.split()}


class ClickHouseError(Exception):
    """An error a client of ClickHouse knows how to read. `message` is one sentence without number and name."""

    def __init__(self, code: int, name: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.name = name
        self.message = message

    @property
    def status(self) -> HTTPStatus:
        return _STATUSES.get(self.name, HTTPStatus.INTERNAL_SERVER_ERROR)

    def render(self, version: str) -> str:
        """The body of the answer, worded as a server words it."""
        return f"Code: {self.code}. DB::Exception: {self.message} ({self.name}) (version {version})\n"


def read_engine_error(text: str) -> ClickHouseError:
    """Take apart what the engine says. It repeats number and name around a message it has passed on: one pair stays."""
    prefix = _PREFIX.search(text)
    if prefix is None:
        return ClickHouseError(1002, "UNKNOWN_EXCEPTION", text.strip() or "The engine gave no reason.")
    rest = text[prefix.end() :]
    suffix = _SUFFIX.search(rest, max(0, len(rest) - _LONGEST_SUFFIX))
    name = "UNKNOWN_EXCEPTION" if suffix is None else suffix[1]
    message = rest if suffix is None else rest[: suffix.start()]
    return ClickHouseError(int(prefix[1]), name, f"{message.strip().rstrip('.')}.")
