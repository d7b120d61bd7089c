"""What a query must not do to the machine the embedded server runs on."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sinks.embedded.process import EmbeddedClickHouse, start_embedded_clickhouse
from tests.integration.test_embedded_clickhouse_http import ask

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clickhouse")


@pytest.fixture(scope="module")
def server(data: Path) -> Iterator[EmbeddedClickHouse]:
    with start_embedded_clickhouse(data) as running:
        ask(running, "CREATE TABLE plain (a UInt64) ENGINE = MergeTree ORDER BY a")
        yield running


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("host") / "secret.csv"
    path.write_text("TOPSECRET\n")
    return path


@pytest.fixture
def confined(data: Path, server: EmbeddedClickHouse) -> EmbeddedClickHouse:
    if '"sandbox": "Landlock' not in (data / "server.log").read_text():
        pytest.skip("this kernel has no Landlock")
    return server


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM file('{path}', 'LineAsString')",
        "SELECT * FROM filesystem('{folder}')",
        "INSERT INTO FUNCTION file('{folder}/new.csv') SELECT 1",
        "CREATE TABLE x AS file('{path}', 'LineAsString')",
        "CREATE TABLE x (a UInt8) ENGINE = File(CSV, '{path}')",
        "CREATE DATABASE x ENGINE = Filesystem('{folder}')",
        "SELECT * FROM url('http://127.0.0.1:{port}/', 'LineAsString')",
        "SELECT * FROM s3('http://127.0.0.1:{port}/bucket/key', 'CSV', 'a String')",
        "SELECT * FROM remote('127.0.0.1:{port}', 'system.one')",
        "SELECT * FROM mysql('127.0.0.1:{port}', 'd', 't', 'u', 'p')",
        "SELECT * FROM postgresql('127.0.0.1:{port}', 'd', 't', 'u', 'p')",
        "SELECT * FROM icebergLocal('{folder}')",
        "BACKUP TABLE plain TO File('{folder}/backup')",
        "CREATE USER intruder",
        "CREATE NAMED COLLECTION keys AS a = 'b'",
        "CREATE DICTIONARY d (a UInt64) PRIMARY KEY a SOURCE(FILE(path '{path}' format 'CSV')) LAYOUT(FLAT())",
        "SYSTEM SHUTDOWN",
        "SYSTEM KILL",
        "SHOW USERS",
        "ATTACH TABLE x FROM '{folder}' (a UInt8) ENGINE = MergeTree ORDER BY a",
        "INSERT INTO plain FROM INFILE '{path}' FORMAT CSV",
    ],
)
def test_what_reaches_beyond_the_engine_is_denied(server: EmbeddedClickHouse, secret: Path, statement: str) -> None:
    reply = ask(server, statement.format(path=secret, folder=secret.parent, port=server.port))
    assert (reply.status, reply.code) == (403, "497"), reply.text
    assert "Not enough privileges" in reply.text


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1",
        "(SELECT 1)",
        "WITH 1 AS x SELECT x",
        "SHOW TABLES",
        "SHOW CREATE TABLE plain",
        "SHOW GRANTS",
        "SHOW PROCESSLIST",
        "SHOW FUNCTIONS",
        "SHOW ENGINES",
        "SHOW SETTINGS LIKE 'max_threads'",
        "SHOW COLUMNS FROM plain",
        "SHOW INDEX FROM plain",
        "DESCRIBE TABLE plain",
        "DESCRIBE (SELECT 1)",
        "EXISTS TABLE plain",
        "EXPLAIN SELECT 1",
        "EXPLAIN PIPELINE SELECT 1",
        "CHECK TABLE plain",
        "KILL QUERY WHERE 0",
        "KILL MUTATION WHERE 0",
        "OPTIMIZE TABLE plain",
        "ALTER TABLE plain ADD COLUMN IF NOT EXISTS b UInt8",
        "CREATE TABLE IF NOT EXISTS plain (a UInt8) ENGINE = Memory",
        "CREATE VIEW IF NOT EXISTS v AS SELECT 1",
        "DROP TABLE IF EXISTS nosuch",
        "TRUNCATE TABLE IF EXISTS nosuch",
        "RENAME TABLE nosuch TO nosuch2",
        "EXECUTE AS nobody SELECT 1",
        "SELECT 1 PARALLEL WITH SELECT 2",
    ],
)
@pytest.mark.parametrize(
    "clause", ["INTO OUTFILE '{path}'", "into/* */\n outfile '{path}' TRUNCATE", "INTO OUTFILE '{path}' FORMAT CSV"]
)
def test_no_statement_writes_a_file(server: EmbeddedClickHouse, data: Path, statement: str, clause: str) -> None:
    """Into the directory of the server, where the kernel would not mind."""
    path = data / "outfile.csv"
    reply = ask(server, f"{statement} {clause.format(path=path)}")
    assert reply.status in (400, 403), reply.text
    assert not path.exists()


@pytest.mark.parametrize(
    "name", ["dialect", "format_schema", "format_template_row", "output_format_schema", "implicit_select"]
)
def test_settings_that_would_get_around_the_checks_cannot_be_made(server: EmbeddedClickHouse, name: str) -> None:
    value = "kusto" if name == "dialect" else "1"
    for reply in (ask(server, "SELECT 1", {name: value}), ask(server, f"SELECT 1 SETTINGS {name} = '{value}'")):
        assert reply.code == "452", reply.text


def test_words_that_end_a_command_line_client_end_nothing(server: EmbeddedClickHouse) -> None:
    for word in ("exit", "quit", ":q", "\\q"):
        assert ask(server, word).code == "62"


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT file('{path}')",
        "SELECT * FROM format(JSONEachRow, 'a String DEFAULT file(\\'{path}\\'), b UInt8', '{{\"b\":1}}')",
        "SELECT file('/proc/self/environ')",
        "SELECT file('/etc/hostname')",
        "CREATE TABLE rocks (a UInt8, b UInt8) ENGINE = EmbeddedRocksDB(0, '{folder}/rocks') PRIMARY KEY a",
        "SELECT * FROM sqlite('{folder}/x.db', 't')",
        "SELECT * FROM executable('true', 'TSV', 'a String')",
    ],
)
def test_what_the_grants_do_not_cover_the_kernel_refuses(
    confined: EmbeddedClickHouse, secret: Path, statement: str
) -> None:
    reply = ask(confined, statement.format(path=secret, folder=secret.parent))
    assert reply.status >= 400, reply.text
    assert "TOPSECRET" not in reply.text
    assert list(secret.parent.iterdir()) == [secret]


def test_no_connection_leaves_the_engine(confined: EmbeddedClickHouse) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        disk = f"disk(type = web, endpoint = '{endpoint}')"
        web = f"CREATE TABLE web (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS disk = {disk}"
        registry = {"output_format_avro_confluent_subject": "x", "format_avro_schema_registry_url": endpoint}
        assert ask(confined, web).status >= 400
        assert ask(confined, "SELECT 1 FORMAT AvroConfluent", registry).status >= 400
        with pytest.raises(TimeoutError):
            listener.accept()


def test_everything_an_analyst_and_the_sink_need_is_allowed(server: EmbeddedClickHouse) -> None:
    for statement in (
        "CREATE DATABASE work",
        "CREATE TABLE work.t (a UInt64, d Date DEFAULT today()) ENGINE = ReplacingMergeTree ORDER BY a PARTITION BY d",
        "CREATE TABLE work.sums (d Date, n UInt64) ENGINE = SummingMergeTree ORDER BY d",
        "CREATE MATERIALIZED VIEW work.mv TO work.sums AS SELECT d, count() AS n FROM work.t GROUP BY d",
        "CREATE MATERIALIZED VIEW work.rmv REFRESH EVERY 1 HOUR ENGINE = MergeTree ORDER BY a AS SELECT a FROM work.t",
        "CREATE VIEW work.v AS SELECT a FROM work.t FINAL",
        "CREATE FUNCTION twice AS x -> x * 2",
        "INSERT INTO work.t (a) SELECT number FROM numbers(10)",
        "SYSTEM REFRESH VIEW work.rmv",
        "ALTER TABLE work.t ADD COLUMN b String DEFAULT 'x', MODIFY TTL d + INTERVAL 2 YEAR",
        "ALTER TABLE work.t UPDATE b = 'y' WHERE a = 1 SETTINGS mutations_sync = 2",
        "DELETE FROM work.t WHERE a = 2",
        "OPTIMIZE TABLE work.t FINAL",
        "SELECT twice(sum(n)), (SELECT count() FROM work.v) FROM work.sums",
        "SELECT count() FROM system.parts",
        "SHOW CREATE TABLE work.t",
        "EXPLAIN indexes = 1 SELECT * FROM work.t WHERE a = 3",
        "RENAME TABLE work.v TO work.w",
        "TRUNCATE TABLE work.t",
        "DROP FUNCTION twice",
        "DROP DATABASE work",
    ):
        reply = ask(server, statement)
        assert reply.status == 200, (statement, reply.text)
