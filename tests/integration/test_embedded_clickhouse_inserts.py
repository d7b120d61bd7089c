"""Rows into the embedded server: any bytes, all or none, and nothing lost without an error."""

import gzip
import http.client
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sinks.embedded.cityhash import city_hash_128
from sinks.embedded.coding import Coding, encode
from sinks.embedded.process import EmbeddedClickHouse, start_embedded_clickhouse
from tests.integration.test_embedded_clickhouse_http import Reply, ask

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clickhouse")


@pytest.fixture(scope="module")
def server(data: Path) -> Iterator[EmbeddedClickHouse]:
    with start_embedded_clickhouse(data) as running:
        yield running


@pytest.fixture
def table(server: EmbeddedClickHouse) -> Iterator[str]:
    ask(
        server,
        "CREATE TABLE words (number UInt64, word String, CONSTRAINT decent CHECK word != 'damn')"
        " ENGINE = MergeTree ORDER BY number SETTINGS non_replicated_deduplication_window = 100",
    )
    yield "words"
    ask(server, "DROP TABLE words SYNC")


def count(server: EmbeddedClickHouse) -> int:
    return int(ask(server, "SELECT count() FROM words").text)


def parts(server: EmbeddedClickHouse) -> int:
    return int(ask(server, "SELECT count() FROM system.parts WHERE table = 'words' AND active").text)


def written(reply: Reply) -> int:
    return int(json.loads(reply.headers["x-clickhouse-summary"])["written_rows"])


@pytest.mark.usefixtures("table")
def test_any_bytes_may_be_a_value(server: EmbeddedClickHouse) -> None:
    values = [b"\x00", b"'", b"\n\n", b"\n\n; DROP TABLE words", bytes(range(256)), b"\\", b""]
    rows = b"".join(
        number.to_bytes(8, "little")
        + bytes((len(value) & 127 | (len(value) > 127) << 7, *([len(value) >> 7] * (len(value) > 127))))
        + value
        for number, value in enumerate(values)
    )
    assert written(ask(server, b"INSERT INTO words FORMAT RowBinary\n" + rows)) == len(values)
    assert written(ask(server, rows, {"query": "INSERT INTO words FORMAT RowBinary"})) == len(values)
    stored = ask(server, "SELECT DISTINCT number, hex(word) FROM words ORDER BY number FORMAT CSV").text
    assert stored == "".join(f'{number},"{value.hex().upper()}"\n' for number, value in enumerate(values))


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("name", "good", "bad", "code"),
    [
        ("JSONEachRow", b'{"number":1,"word":"a"}\n', b'{"number":"x"}', "27"),
        ("CSV", b"1,a\n", b"x,y,z\n", "27"),
        ("TSV", b"1\ta\n", b"1", "27"),
        ("RowBinary", bytes(8) + b"\x01a", b"\x01", "33"),
        ("Values", b"(1, 'a'),", b"(2, ", None),
    ],
)
def test_one_bad_row_at_the_end_keeps_all_rows_out(
    server: EmbeddedClickHouse, name: str, good: bytes, bad: bytes, code: str | None
) -> None:
    """More rows than the engine puts into one block by itself."""
    rows = good * (20_000 if name == "Values" else 1_200_000)
    reply = ask(server, rows + bad, {"query": f"INSERT INTO words FORMAT {name}"})
    assert reply.status >= 400
    assert code is None or reply.code == code
    assert count(server) == 0
    assert "rows-" not in reply.text


@pytest.mark.usefixtures("table")
def test_rows_that_the_table_refuses_after_they_were_read_are_an_error(server: EmbeddedClickHouse) -> None:
    reply = ask(server, b"1,fine\n2,damn\n", {"query": "INSERT INTO words FORMAT CSV"})
    assert (reply.status, reply.code) == (500, "469")
    assert "decent" in reply.text
    assert count(server) == 0


@pytest.mark.usefixtures("table")
def test_all_rows_of_a_request_are_one_part_under_one_token(server: EmbeddedClickHouse) -> None:
    rows = b"7\tx\n" * 1_200_000
    fields = {"query": "INSERT INTO words FORMAT TSV", "insert_deduplication_token": "one"}
    assert written(ask(server, rows, fields)) == 1_200_000
    assert parts(server) == 1
    ask(server, rows, fields)
    assert count(server) == 1_200_000


@pytest.mark.usefixtures("table")
def test_the_settings_of_an_insert_may_stand_in_it(server: EmbeddedClickHouse) -> None:
    statement = (
        b"INSERT INTO words (word, number) SETTINGS insert_deduplication_token = 't', async_insert = 0 FORMAT CSV\na,1"
    )
    assert [written(ask(server, statement)) for _ in range(2)] == [1, 1]
    assert count(server) == 1


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("coding", list(Coding))
def test_rows_may_come_compressed(server: EmbeddedClickHouse, coding: Coding) -> None:
    rows = encode(coding, b"1\ta\n" * 1000)
    assert (
        written(ask(server, rows, {"query": "INSERT INTO words FORMAT TSV"}, headers={"Content-Encoding": coding}))
        == 1000
    )


@pytest.mark.usefixtures("table")
def test_a_cut_compressed_body_inserts_nothing(server: EmbeddedClickHouse) -> None:
    rows = gzip.compress(b"1\ta\n" * 100_000)
    reply = ask(server, rows[:-20], {"query": "INSERT INTO words FORMAT TSV"}, headers={"Content-Encoding": "gzip"})
    assert (reply.status, reply.code) == (500, "271")
    assert count(server) == 0


@pytest.mark.usefixtures("table")
def test_a_body_whose_length_nobody_knows_is_read_in_chunks(server: EmbeddedClickHouse) -> None:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
    chunks = (b"%d\tchunk\n" % number for number in range(1000))
    connection.request("POST", "/?query=INSERT%20INTO%20words%20FORMAT%20TSV", chunks, encode_chunked=True)
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, b"")
    connection.close()
    assert count(server) == 1000


@pytest.mark.usefixtures("table")
def test_a_body_beyond_the_bound_is_refused_before_it_is_sent(server: EmbeddedClickHouse) -> None:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
    connection.putrequest("POST", "/?query=INSERT%20INTO%20words%20FORMAT%20TSV")
    connection.putheader("Content-Length", str(300 << 20))
    connection.endheaders()
    response = connection.getresponse()
    assert response.status == 413
    assert b"Send the rows in several requests" in response.read()
    connection.close()


@pytest.mark.usefixtures("table")
def test_a_small_body_that_unfolds_beyond_the_bound_is_refused(server: EmbeddedClickHouse) -> None:
    bomb = encode(Coding.ZSTD, bytes(257 << 20))
    reply = ask(server, bomb, {"query": "INSERT INTO words FORMAT TSV"}, headers={"Content-Encoding": "zstd"})
    assert (reply.status, reply.code) == (413, "66")


@pytest.mark.usefixtures("table")
def test_nothing_is_left_of_the_files_rows_pass_through(server: EmbeddedClickHouse, data: Path) -> None:
    ask(server, b"1\ta\n", {"query": "INSERT INTO words FORMAT TSV"})
    ask(server, b"garbage", {"query": "INSERT INTO words FORMAT Native"})
    assert not list((data / "scratch").glob("rows-*"))


@pytest.mark.usefixtures("table")
def test_the_engine_writes_the_checksums_we_compute(server: EmbeddedClickHouse, data: Path) -> None:
    """The files of its columns are made of the same compressed blocks as answers with `compress=1`."""
    ask(server, "ALTER TABLE words MODIFY SETTING min_bytes_for_wide_part = 0, min_rows_for_wide_part = 0")
    ask(server, "INSERT INTO words SELECT number, toString(number) FROM numbers(100000)")
    blocks = 0
    for column in (data / "engine" / "store").glob("*/*/all_*/word.bin"):
        content = column.read_bytes()
        while content:
            end = 16 + int.from_bytes(content[17:21], "little")
            assert content[:16] == city_hash_128(content[16:end])
            content = content[end:]
            blocks += 1
    assert blocks > 0
