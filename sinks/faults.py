"""What an error of ClickHouse means for the rows that met it: the rows' own fault, or an outage to be waited out."""

import re
from dataclasses import dataclass
from ssl import SSLCertVerificationError, SSLError

from clickhouse_connect.driver.exceptions import ClickHouseError, Error, OperationalError

from sinks.certificate import distrust

PASSING_S = 1.0
"""A broken connection or a restart: the next try may well succeed."""
OVERLOADED_S = 5.0
"""The server said that it has too much to do, or too little room: it needs time."""
OPERATOR_S = 30.0
"""Somebody has to put something right first; until then every try costs the server a login."""

# Values that ClickHouse itself refuses. Deliberately few: a row may only be given up when the fault is surely its own.
# What a body cut off on its way looks like (33, 117) and what a changed table looks like (16, 20, 53) are not here.
_REFUSED_VALUES = frozenset(
    {
        131,  # TOO_LARGE_STRING_SIZE
        321,  # VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
        349,  # CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
        407,  # DECIMAL_OVERFLOW
        469,  # VIOLATED_CONSTRAINT
        691,  # UNKNOWN_ELEMENT_OF_ENUM
    }
)
_OVERLOADED = frozenset(
    {
        159,  # TIMEOUT_EXCEEDED
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        241,  # MEMORY_LIMIT_EXCEEDED
        242,  # TABLE_IS_READ_ONLY
        243,  # NOT_ENOUGH_SPACE
        252,  # TOO_MANY_PARTS
        439,  # CANNOT_SCHEDULE_TASK
        745,  # SERVER_OVERLOADED
    }
)
_WAYS_OUT = {
    16: "the table is that of an older release: run `millrace tables apply`",
    60: "the table is missing: run `millrace tables apply`",
    81: "the database is missing: run `millrace tables apply`",
    164: "the user may only read: let it insert into call_rows",
    192: "check MILLRACE_CLICKHOUSE_USER",
    193: "check MILLRACE_CLICKHOUSE_PASSWORD",
    194: "check MILLRACE_CLICKHOUSE_PASSWORD",
    497: "the user lacks a right: see the grants in docs/analytics.md",
    516: "check MILLRACE_CLICKHOUSE_USER and MILLRACE_CLICKHOUSE_PASSWORD",
}
_FRAME = re.compile(r"^Received ClickHouse exception, code: \d+, server response: ")
_LONGEST_REASON = 500  # an answer may quote a whole statement


@dataclass(frozen=True, slots=True)
class RefusedValue:
    reason: str


@dataclass(frozen=True, slots=True)
class Outage:
    reason: str
    retry_after_s: float


def fault_of(error: ClickHouseError) -> RefusedValue | Outage:
    """What it means, in a sentence that names no secret."""
    said = _sentence(str(error))
    code = error.code if isinstance(error, Error) else None
    if code is None and isinstance(error, OperationalError):
        first = _first_cause(error)
        if isinstance(first, SSLError):
            return Outage(_no_trust(first), OPERATOR_S)
        return Outage(f"no answer ({type(first).__name__}: {_sentence(str(first))})", PASSING_S)
    if code in _REFUSED_VALUES:
        return RefusedValue(said)
    if code in _OVERLOADED:
        return Outage(said, OVERLOADED_S)
    way_out = None if code is None else _WAYS_OUT.get(code)
    return Outage(said if way_out is None else f"{way_out} ({said})", OPERATOR_S)


def _no_trust(error: SSLError) -> str:
    if isinstance(error, SSLCertVerificationError):
        return distrust(error, "MILLRACE_CLICKHOUSE_CA_FILE")
    return f"TLS does not come about ({error.reason}); check MILLRACE_CLICKHOUSE_SECURE and MILLRACE_CLICKHOUSE_PORT"


def _first_cause(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def _sentence(text: str) -> str:
    """What the server said, without the driver's frame around it."""
    said = _FRAME.sub("", text)
    return " ".join(said.partition(" (for url ")[0].split())[:_LONGEST_REASON]
