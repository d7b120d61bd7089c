"""The embedded server as `clickhouse-connect` sees it: the client the sink, the CLI and analysts use."""

import asyncio
import uuid
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from sinks.embedded.process import EmbeddedClickHouse, start_embedded_clickhouse

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    with start_embedded_clickhouse(tmp_path_factory.mktemp("clickhouse")) as running:
        yield running


@pytest.fixture
def client(server: EmbeddedClickHouse) -> Iterator[Client]:
    with clickhouse_connect.get_client(host=server.host, port=server.port) as connected:
        yield connected


ROW = (
    1,
    "text ' \\ \n \x00 é",
    "low",
    None,
    Decimal("12.345678901"),
    datetime(2026, 11, 21, 1, 2, 3, 456000),  # noqa: DTZ001 - the driver gives UTC without a zone
    {"feature": "chat"},
    [1, 2],
    uuid.UUID(int=7),
)
COLUMNS = (
    "id UInt64, text String, low LowCardinality(String), maybe Nullable(UInt32), cost Decimal(18, 9),"
    " at DateTime64(3, 'UTC'), labels Map(String, String), list Array(UInt8), key UUID"
)


@pytest.mark.parametrize("compress", [False, True, "lz4", "zstd", "gzip"])
def test_rows_come_back_as_they_went_in_whatever_the_compression(
    server: EmbeddedClickHouse, compress: bool | str
) -> None:
    with clickhouse_connect.get_client(host=server.host, port=server.port, compress=compress) as client:
        client.command("CREATE OR REPLACE TABLE everything (" + COLUMNS + ") ENGINE = MergeTree ORDER BY id")
        assert client.insert("everything", [ROW] * 3).written_rows == 3
        result = client.query("SELECT * FROM everything")
        assert result.column_names[:2] == ("id", "text")
        assert [tuple(row) for row in result.result_rows] == [ROW] * 3
        assert client.query("SELECT number FROM numbers(300000)").row_count == 300_000


def test_commands_parameters_and_empty_results_work_as_with_a_server(client: Client) -> None:
    assert client.server_version == client.command("SELECT version()")
    assert client.command("SELECT 40 + {two:UInt8}", parameters={"two": 2}) == 42
    assert client.query("SELECT {words:Array(String)}", parameters={"words": ["it's", "a\tb"]}).first_row == (
        ["it's", "a\tb"],
    )
    assert client.query("SELECT 1 AS one LIMIT 0").column_names == ("one",)
    assert client.query("SELECT 1 WHERE 0").result_rows == []
    assert client.ping()


def test_a_failure_is_the_clients_own_error_with_its_number(client: Client) -> None:
    with pytest.raises(DatabaseError) as missing:
        client.query("SELECT * FROM nosuch")
    assert (missing.value.code, missing.value.name) == (60, "UNKNOWN_TABLE")


def test_a_wrong_password_is_told_as_such(server: EmbeddedClickHouse) -> None:
    with pytest.raises(DatabaseError) as refused:
        clickhouse_connect.get_client(host=server.host, port=server.port, password="wrong")
    assert refused.value.code == 516


def test_results_are_streamed(client: Client) -> None:
    with client.query_rows_stream("SELECT number FROM numbers(200000)") as stream:
        assert len(list[object](stream)) == 200_000


@pytest.mark.asyncio
async def test_the_asynchronous_client_asks_many_things_at_once(server: EmbeddedClickHouse) -> None:
    async with await clickhouse_connect.get_async_client(host=server.host, port=server.port) as client:
        results = await asyncio.gather(*(client.query(f"SELECT {number}") for number in range(20)))
        assert [result.first_row for result in results] == [(number,) for number in range(20)]
        await client.command("CREATE OR REPLACE TABLE later (a UInt64) ENGINE = MergeTree ORDER BY a")
        await client.insert("later", [[1], [2]], column_names=["a"])
        assert (await client.query("SELECT sum(a) FROM later")).first_row == (3,)
