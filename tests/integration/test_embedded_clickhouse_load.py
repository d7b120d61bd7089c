"""Many clients at once, some of them rude."""

import http.client
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import urlencode

import pytest

from sinks.embedded.configuration import Limits
from sinks.embedded.process import EmbeddedClickHouse, start_embedded_clickhouse
from tests.integration.test_embedded_clickhouse_http import ask

pytestmark = pytest.mark.integration

FOREVER = "SELECT sleepEachRow(0.05) FROM numbers(100000) SETTINGS max_block_size = 1"
LOOK = "SELECT count() FROM system.processes WHERE Settings['log_comment'] = {id:String}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    with start_embedded_clickhouse(tmp_path_factory.mktemp("clickhouse")) as running:
        ask(running, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
        yield running


def until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, "waited too long"


def started(server: EmbeddedClickHouse, query_id: str) -> socket.socket:
    """A connection on which a query runs that would take more than an hour."""
    connection = socket.create_connection((server.host, server.port), timeout=30)
    url = "/?" + urlencode({"query_id": query_id})
    connection.sendall(f"POST {url} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(FOREVER)}\r\n\r\n{FOREVER}".encode())
    return connection


def running(server: EmbeddedClickHouse, query_id: str) -> bool:
    return ask(server, LOOK, {"param_id": query_id}).text == "1\n"


def test_a_read_whose_client_has_gone_is_cancelled(server: EmbeddedClickHouse) -> None:
    connection = started(server, "abandoned")
    until(lambda: running(server, "abandoned"))
    connection.close()
    until(lambda: not running(server, "abandoned"))


def test_reads_that_take_all_places_do_not_hold_up_an_insert(server: EmbeddedClickHouse) -> None:
    places = Limits().reads_at_once
    first = [started(server, f"slow-{number}") for number in range(places - 1)]
    until(lambda: all(running(server, f"slow-{number}") for number in range(places - 1)))
    last = started(server, "slow-last")
    began_s = time.monotonic()
    for _ in range(5):
        assert ask(server, "INSERT INTO t VALUES (1)").status == 200
    took_s = time.monotonic() - began_s
    for connection in (*first, last):
        connection.close()
    assert took_s < 10
    until(lambda: ask(server, "SELECT count() FROM t").text == "5\n")


def test_readers_and_a_writer_work_at_the_same_time(server: EmbeddedClickHouse) -> None:
    ask(server, "CREATE TABLE busy (a UInt64) ENGINE = MergeTree ORDER BY a")
    rows = b"".join(b"%d\n" % number for number in range(1000))

    def write(_: int) -> int:
        return ask(server, rows, {"query": "INSERT INTO busy FORMAT TSV"}).status

    def read(_: int) -> int:
        return int(ask(server, "SELECT count() FROM busy").text)

    with ThreadPoolExecutor(8) as threads:
        writes, reads = threads.map(write, range(40)), threads.map(read, range(80))
        assert set(writes) == {200}
        assert all(seen % 1000 == 0 for seen in reads), "a reader saw a part of an insert"
    assert read(0) == 40_000


@pytest.mark.parametrize(
    ("body", "fields", "headers"),
    [
        (b"\x00\xff" * 500, {}, {}),
        (b"\x04\x22\x4d\x18garbage", {"query": "INSERT INTO t FORMAT Native"}, {"Content-Encoding": "lz4"}),
        (b"\xff" * 100, {"query": "INSERT INTO t FORMAT Native"}, {}),
        (b"\xff" * 100, {"query": "INSERT INTO t FORMAT Parquet"}, {}),
        (b"\xff" * 100, {"decompress": "1"}, {}),
        (b"INSERT INTO t FORMAT Native\n\x01\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01a\x06UInt64", {}, {}),
        (b"SELECT '" + b"\xc3\x28" * 10, {}, {}),
        (b"(" * 100_000, {}, {}),
        (b"SELECT " + b"[" * 5_000 + b"]" * 5_000, {}, {}),
        (b"", {"query": "SELECT 1", "default_format": "\udcff"}, {}),
    ],
)
def test_garbage_gets_an_error_and_the_server_lives_on(
    server: EmbeddedClickHouse, body: bytes, fields: dict[str, str], headers: dict[str, str]
) -> None:
    encoded = {name: value.encode(errors="surrogateescape") for name, value in fields.items()}
    reply = ask(server, body, encoded, headers=headers)
    assert 400 <= reply.status < 600
    assert reply.body.startswith(b"Code: ")
    assert b"embedded server failed" not in reply.body
    assert ask(server, "SELECT 1").text == "1\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00 not http",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nSELECT",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"x" * (2 << 20) + b" HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nX-Large: " + b"x" * (2 << 20),
    ],
)
def test_what_is_not_http_ends_its_own_connection_only(server: EmbeddedClickHouse, sent: bytes) -> None:
    with socket.create_connection((server.host, server.port), timeout=20) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with suppress(ConnectionError):
            connection.sendall(sent)
    assert ask(server, method="GET", path="/ping").text == "Ok.\n"


def whole_answer(connection: socket.socket) -> http.client.HTTPResponse:
    """Head and body need not arrive in one piece."""
    connection.settimeout(20)
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer


def test_more_than_can_wait_are_told_to_come_back(server: EmbeddedClickHouse) -> None:
    limits, too_many = Limits(), 3
    crowd = [started(server, f"crowd-{number}") for number in range(limits.reads_at_once + limits.waiting + too_many)]
    try:
        turned_away: set[socket.socket] = set()
        while len(turned_away) < too_many:
            answered, _, _ = select.select([one for one in crowd if one not in turned_away], [], [], 20)
            assert answered, "nobody was turned away"
            turned_away.update(answered)
        for connection in turned_away:
            reply = whole_answer(connection)
            assert reply.status == 503
            assert b"Too many simultaneous queries. Maximum: 4, and 64 wait already" in reply.read()
        assert ask(server, "INSERT INTO t VALUES (9)").status == 200
    finally:
        for connection in crowd:
            connection.close()
    until(lambda: ask(server, "SELECT 1").text == "1\n")


def test_a_connection_that_says_nothing_takes_no_place(server: EmbeddedClickHouse) -> None:
    silent = [http.client.HTTPConnection(server.host, server.port, timeout=10) for _ in range(50)]
    for connection in silent:
        connection.connect()
    assert ask(server, "SELECT 1").text == "1\n"
    for connection in silent:
        connection.close()
