"""The embedded server as curl sees it: ClickHouse's HTTP protocol, word by word."""

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest

from sinks.embedded.blocks import Method, pack_blocks, unpack_blocks
from sinks.embedded.coding import Coding, decode, encode
from sinks.embedded.process import EmbeddedClickHouse, start_embedded_clickhouse

pytestmark = pytest.mark.integration


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def code(self) -> str | None:
        return self.headers.get("x-clickhouse-exception-code")


def ask(
    server: EmbeddedClickHouse,
    body: str | bytes = b"",
    fields: Mapping[str, object] | None = None,
    *,
    method: str = "POST",
    path: str = "/",
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """One request on a connection of its own. `fields` are the parameters of the URL."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    try:
        url = f"{path}?{urlencode(fields)}" if fields else path
        connection.request(method, url, body if isinstance(body, bytes) else body.encode(), headers or {})
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, found, response.read())
    finally:
        connection.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    with start_embedded_clickhouse(tmp_path_factory.mktemp("clickhouse")) as running:
        assert (
            ask(running, "CREATE TABLE pairs (number UInt64, word String) ENGINE = MergeTree ORDER BY number").body
            == b""
        )
        yield running


@pytest.mark.parametrize("path", ["/", "/ping", "/replicas_status"])
def test_health_is_answered_as_a_server_answers_it(server: EmbeddedClickHouse, path: str) -> None:
    assert ask(server, method="GET", path=path).text == "Ok.\n"


def test_there_are_no_web_pages_and_the_answer_says_what_there_is(server: EmbeddedClickHouse) -> None:
    reply = ask(server, method="GET", path="/play")
    assert reply.status == 404
    assert "clickhouse-connect" in reply.text


def test_a_query_may_stand_in_the_url_in_the_body_or_begin_in_one_and_end_in_the_other(
    server: EmbeddedClickHouse,
) -> None:
    assert ask(server, "", {"query": "SELECT 1"}, method="GET").text == "1\n"
    assert ask(server, "SELECT 2").text == "2\n"
    assert ask(server, "FROM numbers(2) FORMAT CSV", {"query": "SELECT number"}).text == "0\n1\n"


def test_rows_may_follow_the_insert_or_be_the_whole_body(server: EmbeddedClickHouse) -> None:
    together = ask(server, 'INSERT INTO pairs FORMAT JSONEachRow\n{"number":1,"word":"a"}\n\n{"number":2,"word":"b"}')
    apart = ask(server, b"3\tc\n4\td;\n", {"query": "INSERT INTO pairs FORMAT TSV"})
    values = ask(server, "INSERT INTO pairs (number, word) VALUES (5, 'e;\n\n--'), (6, concat('f', 'g'))")
    assert [json.loads(each.headers["x-clickhouse-summary"])["written_rows"] for each in (together, apart, values)] == [
        "2",
        "2",
        "2",
    ]
    assert ask(server, "SELECT word FROM pairs ORDER BY number FORMAT TSVRaw").text == "a\nb\nc\nd;\ne;\n\n--\nfg\n"


@pytest.mark.parametrize(
    ("name", "content_type", "start"),
    [
        ("JSON", "application/json; charset=UTF-8", b'{\n\t"meta"'),
        ("CSVWithNames", "text/csv; charset=UTF-8; header=present", b'"x"\n'),
        ("Native", "application/octet-stream", b"\x01\x03\x01x\x06UInt64"),
        ("RowBinaryWithNamesAndTypes", "application/octet-stream", b"\x01\x01x\x06UInt64"),
        ("Parquet", "application/octet-stream", b"PAR1"),
        ("Arrow", "application/octet-stream", b"ARROW1"),
        ("TabSeparated", "text/tab-separated-values; charset=UTF-8", b"0\n1\n2\n"),
    ],
)
def test_every_format_of_the_engine_comes_with_its_name_and_type(
    server: EmbeddedClickHouse, name: str, content_type: str, start: bytes
) -> None:
    numbers = "SELECT number AS x FROM numbers(3)"
    for reply in (
        ask(server, f"{numbers} FORMAT {name}", {"default_format": "XML"}),
        ask(server, numbers, {"default_format": name}),
        ask(server, numbers, headers={"X-ClickHouse-Format": name}),
    ):
        assert reply.body.startswith(start)
        assert reply.headers["x-clickhouse-format"] == name
        assert reply.headers["content-type"] == content_type


def test_a_statement_without_a_result_names_no_format(server: EmbeddedClickHouse) -> None:
    reply = ask(server, "CREATE DATABASE IF NOT EXISTS other")
    assert (reply.status, reply.body) == (200, b"")
    assert "x-clickhouse-format" not in reply.headers


def test_the_headers_say_what_was_asked_and_what_it_took(server: EmbeddedClickHouse) -> None:
    reply = ask(server, "SELECT number FROM numbers(10)", {"query_id": "mine", "session_timezone": "Asia/Tokyo"})
    assert reply.headers["x-clickhouse-query-id"] == "mine"
    assert reply.headers["x-clickhouse-timezone"] == "Asia/Tokyo"
    summary = json.loads(reply.headers["x-clickhouse-summary"])
    assert (summary["read_rows"], summary["result_rows"], summary["written_rows"]) == ("10", "10", "0")


@pytest.mark.parametrize(
    ("sent", "type_name", "value"),
    [
        ("it's \\'", "String", "it's \\'"),
        ("a\\tb", "String", "a\tb"),
        ("['x','y']", "Array(String)", "['x','y']"),
        ("7", "UInt8", "7"),
        ("\\N", "Nullable(String)", "\\N"),
        ("2026-01-02", "Date", "2026-01-02"),
    ],
)
def test_values_are_bound_by_type(server: EmbeddedClickHouse, sent: str, type_name: str, value: str) -> None:
    escaped = sent.replace("\\'", "\\\\'")
    assert ask(server, f"SELECT {{v:{type_name}}} FORMAT TSVRaw", {"param_v": escaped}).text == f"{value}\n"


def test_names_are_bound_too(server: EmbeddedClickHouse) -> None:
    ask(server, "CREATE TABLE named (a UInt8) ENGINE = Memory")
    assert ask(server, "1\n", {"query": "INSERT INTO {t:Identifier} FORMAT CSV", "param_t": "named"}).status == 200
    assert ask(server, "SELECT count() FROM {t:Identifier}", {"param_t": "named"}).text == "1\n"


def test_the_database_is_chosen_by_header_or_url(server: EmbeddedClickHouse) -> None:
    ask(server, "CREATE DATABASE IF NOT EXISTS elsewhere")
    assert ask(server, "SELECT currentDatabase()", {"database": "elsewhere"}).text == "elsewhere\n"
    chosen = ask(
        server, "SELECT currentDatabase()", {"database": "nope"}, headers={"X-ClickHouse-Database": "elsewhere"}
    )
    assert chosen.text == "elsewhere\n"
    assert ask(server, "SELECT 1", {"database": "nope"}).code == "81"


def test_settings_last_for_one_request(server: EmbeddedClickHouse) -> None:
    assert ask(server, "SELECT getSetting('max_threads')", {"max_threads": 7}).text == "7\n"
    assert ask(server, "SELECT getSetting('max_threads')", {"session_id": "s", "wait_end_of_query": 1}).text != "7\n"


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [({"nosuch": 1}, 404, "115"), ({"max_threads": "many"}, 400, "27"), ({"dialect": "kusto"}, 500, "452")],
)
def test_settings_that_cannot_be_made_are_the_engines_errors(
    server: EmbeddedClickHouse, fields: dict[str, object], status: int, code: str
) -> None:
    reply = ask(server, "SELECT 1", fields)
    assert (reply.status, reply.code) == (status, code)


@pytest.mark.parametrize(
    ("statement", "status", "code", "words"),
    [
        ("SELECT * FROM nosuch", 404, "60", "UNKNOWN_TABLE"),
        ("SELEC 1", 400, "62", "Syntax error: failed at position 1 (SELEC)"),
        ("", 400, "62", "Empty query"),
        ("SELECT 1; SELECT 2", 400, "62", "Multi-statements are not allowed"),
        ("SELECT 1 FORMAT Nosuch", 404, "73", "Unknown format"),
        ("SELECT throwIf(1)", 500, "395", "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        ("INSERT INTO pairs FORMAT CSV", 500, "108", "No data to insert"),
        ("INSERT INTO pairs SELECT * FROM input('number UInt64, word String') FORMAT CSV\n1,a", 501, "48", "rows"),
        ("SELECT " + "1," * 140_000 + "1", 400, "62", "Max query size exceeded"),
    ],
)
def test_an_error_has_the_status_the_number_and_the_words_of_a_server(
    server: EmbeddedClickHouse, statement: str, status: int, code: str, words: str
) -> None:
    reply = ask(server, statement)
    assert (reply.status, reply.code) == (status, code)
    assert reply.text.startswith(f"Code: {code}. DB::Exception: ")
    version = ask(server, "SELECT version()").text.strip()
    assert reply.text.endswith(f"(version {version})\n")
    assert words in reply.text
    assert "formatQuery" not in reply.text


def test_get_reads_only_and_says_so(server: EmbeddedClickHouse) -> None:
    reply = ask(server, "", {"query": "CREATE TABLE no (a UInt8) ENGINE = Memory"}, method="GET")
    assert reply.code == "164"
    assert "Use POST" in reply.text
    assert ask(server, "", {"query": "INSERT INTO pairs FORMAT CSV 1,a"}, method="GET").code == "164"


def test_head_is_get_without_its_body(server: EmbeddedClickHouse) -> None:
    reply = ask(server, "", {"query": "SELECT 1"}, method="HEAD")
    assert (reply.status, reply.body, reply.headers["content-length"]) == (200, b"", "2")


@pytest.mark.parametrize("coding", list(Coding))
def test_bodies_are_compressed_both_ways(server: EmbeddedClickHouse, coding: Coding) -> None:
    statement = encode(coding, b"SELECT repeat('x', 100000)")
    headers = {"Content-Encoding": coding, "Accept-Encoding": coding}
    reply = ask(server, statement, {"enable_http_compression": 1}, headers=headers)
    assert reply.headers["content-encoding"] == coding
    assert decode(coding, reply.body, 1 << 20) == b"x" * 100_000 + b"\n"
    assert "content-encoding" not in ask(server, "SELECT 1", headers=headers | {"Content-Encoding": "identity"}).headers


@pytest.mark.parametrize("method", list(Method))
def test_clickhouses_own_blocks_are_read_and_written(server: EmbeddedClickHouse, method: Method) -> None:
    statement = pack_blocks(b"SELECT repeat('x', 100000)", method)
    reply = ask(server, statement, {"decompress": 1, "compress": 1, "network_compression_method": method.name})
    assert reply.body[16] == method
    assert unpack_blocks(reply.body, 1 << 20) == b"x" * 100_000 + b"\n"


def test_a_result_of_many_mebibytes_arrives_whole(server: EmbeddedClickHouse) -> None:
    reply = ask(server, "SELECT number FROM numbers(1000000) FORMAT RowBinary")
    assert len(reply.body) == 8_000_000
    assert reply.body[-8:] == (999_999).to_bytes(8, "little")


def test_a_result_beyond_the_bound_is_an_error_and_not_a_cut_answer(server: EmbeddedClickHouse) -> None:
    reply = ask(server, "SELECT number FROM numbers(1000000) FORMAT RowBinary", {"max_result_bytes": 1_000_000})
    assert (reply.status, reply.code) == (500, "396")


NATIVE_COLUMNS = (
    "number, toString(number), toLowCardinality(toString(number % 3)), [number], map('k', number)",
    "if(number % 2, NULL, 'x'), toDecimal64(number, 9), CAST((number, 'y'), 'Tuple(a UInt64, `b c` String)')",
    "CAST('a', 'Enum8(\\'a\\' = 1, \\'b(,\\' = 2)'), [toLowCardinality('q')], toDateTime64(5, 3), toIPv4('1.2.3.4')",
    "CAST(NULL, 'LowCardinality(Nullable(String))'), repeat('long', 100), toFixedString('ab', 2), (1.5, 2.5)::Point",
)


def test_native_comes_in_the_revision_asked_for_with_the_same_values(server: EmbeddedClickHouse) -> None:
    statement = f"SELECT {', '.join(NATIVE_COLUMNS)} FROM numbers(5)"  # noqa: S608 - the columns above
    old = ask(server, statement, {"default_format": "Native"}).body
    new = ask(server, statement, {"default_format": "Native", "client_protocol_version": 54_485}).body
    columns = json.loads(ask(server, statement, {"default_format": "JSON"}).body)["meta"]
    assert new[:8] == b"\x01\x00\x02\xff\xff\xff\xff\x00"
    assert len(new) == 8 + len(old) + len(columns)
    assert new.endswith(old[-40:])
    assert ask(server, statement, {"default_format": "Native", "client_protocol_version": 54_405}).body == old


def test_a_client_that_asks_before_it_sends_is_told_to_go_on(server: EmbeddedClickHouse) -> None:
    with socket.create_connection((server.host, server.port), timeout=20) as connection:
        head = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 8\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 100")
        connection.sendall(b"SELECT 1")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"\r\n\r\n1\n")


def test_one_connection_serves_many_requests(server: EmbeddedClickHouse) -> None:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=20)
    for statement, status in [("SELECT 1", 200), ("SELEC", 400), ("SELECT 2", 200)]:
        connection.request("POST", "/", statement)
        response = connection.getresponse()
        assert (response.status, bool(response.read())) == (status, True)
    connection.close()
