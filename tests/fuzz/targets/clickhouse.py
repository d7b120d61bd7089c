"""What reaches the embedded ClickHouse server over HTTP, and what the engine and other servers say back."""

import re

from clickhouse_connect.driver.exceptions import DatabaseError

from sinks.embedded.answer import common_headers
from sinks.embedded.blocks import Method, pack_blocks, unpack_blocks
from sinks.embedded.cityhash import city_hash_128
from sinks.embedded.coding import Coding, decode, encode
from sinks.embedded.credentials import Credentials
from sinks.embedded.errors import ClickHouseError, read_engine_error
from sinks.embedded.job import decode_body
from sinks.embedded.native import upgrade_native
from sinks.embedded.request import read_request
from sinks.embedded.statement import Token, read_statement
from sinks.faults import fault_of
from tests.fuzz.target import Target, joined, pairs, parts_of

BODY_BYTES = 1 << 20
CANONICAL_BYTES = 4_096
"""The engine closes every quote; this module leaves some open, and each is then looked for to the end."""
_TOKEN = re.compile(rb"[A-Za-z_]\w*|\d+|\S")
_KEYWORDS = frozenset({b"INSERT", b"INTO", b"SELECT", b"FORMAT", b"VALUES", b"SETTINGS"})


def _request(data: bytes) -> None:
    """As the door does it: method, query string, headers, then the body. Texts of HTTP are Latin-1."""
    method, query, body, *said = parts_of(data, 3)
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in pairs(said)}
    request = read_request(method.decode("latin-1"), query.decode("latin-1"), headers)
    for name, value in common_headers(request).items():
        f"{name}: {value}".encode("latin-1")
    Credentials().admits(request.credentials)
    assert len(decode_body(request, body, BODY_BYTES)) <= BODY_BYTES


def _statement(data: bytes) -> None:
    """Tokens and the canonical form as the engine gives them: of what stands in the text."""
    data = data[:CANONICAL_BYTES]
    tokens = [
        Token(found.start(), found.end(), "keyword" if found[0].upper() in _KEYWORDS else "identifier")
        for found in _TOKEN.finditer(data)
    ]
    if tokens:
        read_statement(data, " ".join(data.decode(errors="replace").split()), tokens)


def _native(data: bytes) -> None:
    upgrade_native(data)


def _blocks(data: bytes) -> None:
    """Once as it is, and once with the checksum that it should have: no fuzzer guesses one."""
    checked = city_hash_128(data[16:]) + data[16:]
    for each in (data, checked):
        try:
            assert len(unpack_blocks(each, BODY_BYTES)) <= max(BODY_BYTES, len(each))
        except ClickHouseError:
            continue


def _coding(data: bytes) -> None:
    for coding in Coding:
        try:
            assert len(decode(coding, data, BODY_BYTES)) <= BODY_BYTES
        except ClickHouseError:
            continue


def _errors(data: bytes) -> None:
    text = data.decode(errors="replace")
    read_engine_error(text).render("26.9")
    fault_of(DatabaseError(text))


_PLAIN = b"INSERT INTO call_rows FORMAT Native\n\x01\x02"

TARGETS = (
    Target(
        "clickhouse-request",
        "HTTP requests to the embedded server: URL, headers, credentials, body in any coding",
        _request,
        (
            joined(b"POST", b"query=SELECT%201&query_id=a&max_threads=1&param_x=1&session_timezone=UTC", b"rows"),
            joined(b"GET", b"query=x&compress=1&network_compression_method=ZSTD&client_protocol_version=54454", b""),
            joined(b"POST", b"", b"SELECT 1", b"authorization", b"Basic ZGVmYXVsdDpzZWNyZXQ="),
            joined(
                b"POST",
                b"enable_http_compression=1",
                b"",
                b"accept-encoding",
                b"gzip;q=0, br",
                b"x-clickhouse-user",
                b"u",
            ),
            joined(b"POST", b"decompress=1", pack_blocks(b"SELECT 1", Method.LZ4)),
            joined(b"POST", b"", encode(Coding.GZIP, b"SELECT 1"), b"content-encoding", b"gzip"),
        ),
        (ClickHouseError,),
    ),
    Target(
        "clickhouse-statement",
        "statements to the embedded server, and rows behind them",
        _statement,
        (
            _PLAIN,
            b"INSERT INTO t SETTINGS async_insert=0 FORMAT CSV  \r\n1",
            b"insert into t values (1)",
            b"SELECT 'a\\'b' FROM `t` INTO OUTFILE 'x' FORMAT JSON SETTINGS a = 1",
            b"INSERT INTO t SELECT 1 FORMAT Native",
        ),
        (ClickHouseError,),
    ),
    Target(
        "clickhouse-native",
        "the engine's Native blocks, upgraded for newer clients",
        _native,
        (
            b"\x02\x01" + b"\x01a\x05UInt8\x07" + b"\x01b\x06String\x02xy",
            b"\x01\x01\x01m\x20Map(LowCardinality(String), Int8)" + bytes(40),
            b"\x01\x01\x01d\x0eDecimal(18, 9)" + bytes(8),
            b"\x01\x01\x01f\x0eFixedString(5)12345",
            b"\x01\x01\x01t\x14Tuple(a UInt8, `b` String)\x01\x02xy",
        ),
        (ClickHouseError,),
    ),
    Target(
        "clickhouse-blocks",
        "bodies in ClickHouse's compressed blocks",
        _blocks,
        tuple(pack_blocks(b"SELECT 1" * 40, method) for method in Method),
    ),
    Target(
        "clickhouse-coding",
        "bodies in HTTP's content codings",
        _coding,
        tuple(encode(coding, b"SELECT 1" * 40) for coding in Coding),
    ),
    Target(
        "clickhouse-errors",
        "error texts of ClickHouse, in which clients' own words are quoted",
        _errors,
        (
            b"Code: 62. DB::Exception: Syntax error: failed at position 1. (SYNTAX_ERROR) (version 26.9.1.1)",
            b"Received ClickHouse exception, code: 131, server response: Code: 131. DB::Exception: x (for url http://h)",
        ),
    ),
)
