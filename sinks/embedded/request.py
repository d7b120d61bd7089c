"""One HTTP request as ClickHouse understands it: what of it is the statement, what a setting, what is transport."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl
from uuid import uuid4

from sinks.embedded.blocks import Method, read_method
from sinks.embedded.coding import Coding, choose_coding, read_content_encoding
from sinks.embedded.credentials import Credentials, read_credentials
from sinks.embedded.errors import ClickHouseError

_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Both are sent back in headers.
_QUERY_ID = re.compile(r"[\x20-\x7e]{1,256}")
_TIME_ZONE = re.compile(r"[A-Za-z0-9_+/-]{1,64}")
_FORMAT_NAME = re.compile(r"\w{1,64}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,18}")
_PARAMETER_PREFIX = "param_"
_MAX_FIELDS = 1_000

# Parameters of the HTTP interface itself: a server consumes them, the engine would call them unknown settings.
_NOT_SETTINGS: Final = frozenset(
    {"query", "query_id", "database", "default_format", "client_protocol_version", "stacktrace"}
    | {"user", "password", "role", "quota_key", "session_id", "session_timeout", "session_check", "close_session"}
    | {"compress", "decompress", "buffer_size", "wait_end_of_query"}
)


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """`statement` is what the URL says; the body, once decoded, continues it on a new line."""

    query_id: str
    statement: bytes
    database: str | None
    default_format: str | None
    settings: tuple[tuple[str, str], ...]
    parameters: tuple[tuple[str, str], ...]
    read_only: bool
    credentials: Credentials
    body_coding: Coding | None
    body_in_blocks: bool
    answer_coding: Coding | None
    answer_blocks: Method | None
    native_revision: int

    @property
    def time_zone(self) -> str:
        """The one times are written in."""
        chosen = dict(self.settings).get("session_timezone", "")
        return chosen if _TIME_ZONE.fullmatch(chosen) else "UTC"


def read_request(method: str, query_string: str, headers: Mapping[str, str]) -> QueryRequest:
    """`headers` has names in lower case. Raises ClickHouseError for what cannot be understood."""
    fields = _fields(query_string)
    if fields.get("role"):
        raise ClickHouseError(511, "UNKNOWN_ROLE", f"There is no role `{fields['role']}` in `user directories`.")
    if headers.get("content-type", "").startswith("multipart/"):
        raise ClickHouseError(
            48, "NOT_IMPLEMENTED", "The embedded engine reads no multipart bodies. Send the statement as the body."
        )
    settings = tuple(
        (name, value)
        for name, value in fields.items()
        if name not in _NOT_SETTINGS and not name.startswith(_PARAMETER_PREFIX)
    )
    query_id = fields.get("query_id") or str(uuid4())
    if _QUERY_ID.fullmatch(query_id) is None:
        raise ClickHouseError(
            36, "BAD_ARGUMENTS", "A query_id has at most 256 characters, all of them printable ASCII."
        )
    for name in fields.keys() - _NOT_SETTINGS:
        if _SETTING_NAME.fullmatch(name) is None:
            raise ClickHouseError(115, "UNKNOWN_SETTING", f"Unknown setting '{name}'.")
    default_format = headers.get("x-clickhouse-format") or fields.get("default_format") or None
    if default_format is not None and _FORMAT_NAME.fullmatch(default_format) is None:
        raise ClickHouseError(73, "UNKNOWN_FORMAT", f"Unknown format {default_format!r}.")
    wants_blocks = _is_set(fields, "compress")
    wants_coding = _is_set(fields, "enable_http_compression")
    return QueryRequest(
        query_id=query_id,
        statement=fields.get("query", "").encode(errors="surrogateescape"),
        database=headers.get("x-clickhouse-database") or fields.get("database") or None,
        default_format=default_format,
        settings=settings,
        parameters=tuple(
            (name.removeprefix(_PARAMETER_PREFIX), value)
            for name, value in fields.items()
            if name.startswith(_PARAMETER_PREFIX)
        ),
        read_only=method in ("GET", "HEAD"),
        credentials=read_credentials(headers, fields),
        body_coding=read_content_encoding(headers.get("content-encoding", "")),
        body_in_blocks=_is_set(fields, "decompress"),
        answer_coding=choose_coding(headers.get("accept-encoding", "")) if wants_coding else None,
        answer_blocks=read_method(fields.get("network_compression_method", "")) if wants_blocks else None,
        native_revision=_number(fields, "client_protocol_version"),
    )


def _fields(query_string: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query_string, keep_blank_values=True, errors="surrogateescape", max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise ClickHouseError(36, "BAD_ARGUMENTS", f"The URL has more than {_MAX_FIELDS} parameters.") from None
    return dict(pairs)


def _is_set(fields: Mapping[str, str], name: str) -> bool:
    return fields.get(name, "").lower() in ("1", "true")


def _number(fields: Mapping[str, str], name: str) -> int:
    value = fields.get(name, "0")
    if _NUMBER.fullmatch(value) is None:
        raise ClickHouseError(36, "BAD_ARGUMENTS", f"The parameter {name} is a number, not {value!r}.")
    return int(value)
