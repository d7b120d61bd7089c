"""The sink against a real engine, over connections that break at the worst moment."""

import shutil
import socket
import subprocess
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from clickhouse_connect.driver.httpclient import HttpClient
from typing_extensions import override

from schemas.usage import Cost, Usage
from sinks.clickhouse import ClickHouseSink
from sinks.columns import COLUMNS, by_column
from sinks.connection import Connection, connect
from sinks.faults import OPERATOR_S, PASSING_S
from sinks.migrate import migrate
from sinks.protocol import Unavailable
from sinks.settings import ClickHouseSettings
from tests.clickhouse_engine import new_database, running_engine
from tests.fakes.call_rows import PRODUCED_AT_MS, call_row, priced
from tests.fakes.proxy import Proxy, proxy_to

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Generator[ClickHouseSettings]:
    with running_engine(tmp_path_factory.mktemp("clickhouse")) as settings:
        yield settings


@pytest.fixture
def settings(engine: ClickHouseSettings) -> ClickHouseSettings:
    return new_database(engine)


@pytest.fixture
def reader(settings: ClickHouseSettings) -> Generator[Connection]:
    with closing(connect(settings)) as connection:
        yield connection


@pytest.fixture
def proxy(settings: ClickHouseSettings) -> Generator[Proxy]:
    with proxy_to(settings.port) as proxy:
        yield proxy


@pytest.fixture
def sink(settings: ClickHouseSettings, proxy: Proxy) -> Generator[ClickHouseSink]:
    """Speaks through the proxy, and is connected already: the next thing it sends is an insert."""
    with closing(ClickHouseSink(settings.model_copy(update={"port": proxy.port}))) as sink:
        sink.write([call_row(0)])
        yield sink


def count(reader: Connection, settings: ClickHouseSettings, relation: str) -> int:
    parameters = {"database": settings.database, "relation": relation}
    return reader.query("SELECT count() FROM {database:Identifier}.{relation:Identifier}", parameters).result_rows[0][0]


ROWS = [call_row(number) for number in range(1, 400)]
MID_BODY = 100_000  # bytes: the insert of ROWS is about 200 000


def test_an_insert_cut_mid_body_is_sent_again_and_stored_once(
    sink: ClickHouseSink, proxy: Proxy, reader: Connection, settings: ClickHouseSettings
) -> None:
    proxy.faults.cut_requests(MID_BODY)
    sink.write(ROWS)
    assert proxy.faults.happened == 1
    assert count(reader, settings, "call_rows") == 400


def test_an_insert_that_is_cut_again_and_again_leaves_nothing_behind_and_succeeds_when_the_caller_retries(
    sink: ClickHouseSink, proxy: Proxy, reader: Connection, settings: ClickHouseSettings
) -> None:
    proxy.faults.cut_requests(MID_BODY, MID_BODY // 2)
    with pytest.raises(Unavailable) as outage:
        sink.write(ROWS)
    assert outage.value.retry_after_s == PASSING_S
    assert proxy.faults.happened == 2
    assert count(reader, settings, "call_rows") == 1
    sink.write(ROWS)
    assert count(reader, settings, "call_rows") == 400


def test_an_insert_whose_acknowledgement_is_lost_is_seen_once(
    sink: ClickHouseSink, proxy: Proxy, reader: Connection, settings: ClickHouseSettings
) -> None:
    proxy.faults.lose_replies(2)
    with pytest.raises(Unavailable):
        sink.write(ROWS)
    assert proxy.faults.happened == 2
    sink.write(ROWS)
    assert count(reader, settings, "calls") == 400


def test_rows_that_are_sent_again_are_stored_again_whatever_clickhouse_noted_of_the_first_time(
    sink: ClickHouseSink, reader: Connection, settings: ClickHouseSettings
) -> None:
    """It notes an insert before it is in place: killed in between, it would take what is sent again for stored."""
    reader.command(f"SYSTEM STOP MERGES {settings.database}.call_rows")
    sink.write(ROWS)
    sink.write(ROWS)
    assert count(reader, settings, "call_rows") == 1 + 2 * len(ROWS)
    assert count(reader, settings, "calls") == 400


def test_what_is_acknowledged_is_on_the_disk(reader: Connection, settings: ClickHouseSettings) -> None:
    table = str(reader.command(f"SHOW CREATE TABLE {settings.database}.call_rows"))
    assert "fsync_after_insert = 1" in table
    assert "fsync_part_directory = 1" in table


def test_rows_stored_without_acknowledgement_and_sent_again_in_other_batches_are_seen_once(
    sink: ClickHouseSink, proxy: Proxy, reader: Connection, settings: ClickHouseSettings
) -> None:
    reader.command(f"SYSTEM STOP MERGES {settings.database}.call_rows")
    proxy.faults.lose_replies(2)
    with pytest.raises(Unavailable):
        sink.write(ROWS[:250])
    sink.write(ROWS[100:300])
    sink.write(ROWS[:350])
    sink.write(ROWS[300:])
    assert count(reader, settings, "call_rows") > 400
    assert count(reader, settings, "calls") == 400


def test_a_server_that_accepts_and_never_answers_is_unavailable_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        settings = ClickHouseSettings(port=mute.getsockname()[1], send_timeout_s=1)
        with closing(ClickHouseSink(settings)) as sink, pytest.raises(Unavailable, match="no answer") as outage:
            sink.write([call_row(1)])
    assert outage.value.retry_after_s == PASSING_S


class Impostor(BaseHTTPRequestHandler):
    """What a load balancer's default page looks like from here."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """What it is asked is no news."""


def test_an_answer_that_is_not_clickhouses_stores_nothing(
    sink: ClickHouseSink, proxy: Proxy, reader: Connection, settings: ClickHouseSettings
) -> None:
    def lead_to(port: int) -> None:
        proxy.target_port = port
        proxy.faults.go_down()
        proxy.faults.come_back()

    with HTTPServer(("127.0.0.1", 0), Impostor) as impostor, ThreadPoolExecutor(1) as threads:
        serving = threads.submit(impostor.serve_forever, 0.05)
        lead_to(impostor.server_port)
        with pytest.raises(Unavailable, match="not ClickHouse's"):
            sink.write(ROWS)
        lead_to(settings.port)
        impostor.shutdown()
        serving.result()
    sink.write(ROWS)
    assert count(reader, settings, "calls") == 400


def test_a_server_without_the_tables_is_unavailable_until_the_migrations_are_applied(
    engine: ClickHouseSettings,
) -> None:
    settings = engine.model_copy(update={"database": "not_yet"})
    with closing(ClickHouseSink(settings)) as sink:
        with pytest.raises(Unavailable, match="millrace tables apply") as outage:
            sink.write([call_row(1)])
        assert outage.value.retry_after_s == OPERATOR_S
        with closing(connect(settings)) as connection:
            migrate(connection, settings.database, settings.retention_days)
        sink.write([call_row(1)])


def test_a_row_that_the_server_refuses_is_found_among_many(
    sink: ClickHouseSink, reader: Connection, settings: ClickHouseSettings
) -> None:
    reader.command(
        "ALTER TABLE {database:Identifier}.call_rows ADD CONSTRAINT known_region CHECK region != 'atlantis'",
        {"database": settings.database},
    )
    rows = [call_row(number, region="eu") for number in range(1, 65)]
    rows[40] = call_row(41, region="atlantis")
    (refusal,) = sink.write(rows)
    assert refusal.index == 40
    assert "known_region" in refusal.reason
    assert count(reader, settings, "calls") == 64


def test_every_column_comes_back_as_it_was_written(
    sink: ClickHouseSink, reader: Connection, settings: ClickHouseSettings
) -> None:
    usd = Decimal("0.000000001")
    full = call_row(
        7,
        session_id="s",
        trace_parent="00-a-b-01",
        target_index=1,
        provider_request_id="p",
        env="prod",
        prompt_version="v3",
        task="answer",
        region="eu",
        route_reason="cheapest",
        stream=True,
        service_tier="flex",
        is_shadow=True,
        is_replay=True,
        usage=Usage(**{name: number for number, name in enumerate(Usage.__struct_fields__, start=2**63)}),
        cost=Cost(
            status="estimated",
            input_usd=usd,
            cache_read_usd=2 * usd,
            cache_write_usd=3 * usd,
            output_usd=Decimal("999999999.999999999"),
            total_usd=-usd,
            list_usd=Decimal(0),
            price_version="prices 1",
        ),
        saved_usd=4 * usd,
        admitted_at_ms=PRODUCED_AT_MS + 1,
        dispatched_at_ms=PRODUCED_AT_MS + 2,
        first_token_at_ms=PRODUCED_AT_MS + 3,
        published_at_ms=PRODUCED_AT_MS + 4,
        error_class="timeout",
        retryable=True,
        complete=False,
        cache="semantic",
        similarity=0.875,
    )
    sink.write([full])
    names = ", ".join(
        f"toUnixTimestamp64Milli({column.name})" if "DateTime" in column.type else column.name for column in COLUMNS
    )
    found = reader.query(
        f"SELECT {names} FROM {settings.database}.call_rows FINAL WHERE attempt_id = 'attempt-7'"  # noqa: S608 - names of ours
    ).result_rows
    assert list(found[0]) == [
        column.stored(values)[0] for column, values in zip(COLUMNS, by_column([full]), strict=True)
    ]


def test_sums_of_money_are_exact_to_the_ninth_place(
    sink: ClickHouseSink, reader: Connection, settings: ClickHouseSettings
) -> None:
    amounts = [(Decimal(number) ** 3 / 7).quantize(Decimal("1e-9")) for number in range(1, 900)]
    sink.write([call_row(number, cost=priced(str(amount))) for number, amount in enumerate(amounts, start=1)])
    found = reader.query(
        "SELECT sum(cost_usd) FROM {database:Identifier}.calls WHERE attempt_id != 'attempt-0'",
        {"database": settings.database},
    )
    assert found.result_rows == [(sum(amounts),)]


def test_the_drivers_own_client_and_curl_read_while_the_sink_writes(
    sink: ClickHouseSink, settings: ClickHouseSettings
) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    statement = f"SELECT count() FROM {settings.database}.calls"  # noqa: S608 - a name of ours
    batches = [[call_row(number) for number in range(start, start + 100)] for start in range(1, 2_001, 100)]
    seen: list[int] = []
    with (
        closing(HttpClient("http", settings.host, settings.port, settings.user, "", None, compress=False)) as client,
        ThreadPoolExecutor(1) as writer,
    ):
        writing = writer.submit(lambda: [sink.write(batch) for batch in batches])
        while not writing.done():
            seen.append(int(str(client.command(statement))))
            answer = subprocess.run(  # noqa: S603 - curl, with a statement of ours
                [
                    curl,
                    "-sS",
                    "--fail",
                    "--max-time",
                    "20",
                    "-d",
                    statement,
                    f"http://{settings.host}:{settings.port}/",
                ],
                capture_output=True,
                check=True,
                text=True,
            )
            seen.append(int(answer.stdout))
        writing.result()
    assert seen
    assert seen == sorted(seen)
    assert all(number % 100 == 1 for number in seen), "half of an insert was seen"
